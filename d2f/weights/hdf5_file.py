"""HDF5 files (.h5, as Keras 2 writes weights) read for their arrays alone, without HDF5's library.

What the first version of the format has is read: superblock 0, groups as symbol tables, object headers 1, contiguous
or compact arrays of floats and integers. Filters, links out of the file and everything newer are refused. The layout
is that of the format's specification (https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2f.api.errors import D2FError
from d2f.api.inputs import Weights
from d2f.weights.file import checked_bytes
from d2f.weights.sources import user_file_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIGNATURE = b"\x89HDF\r\n\x1a\n"
ROOT_ENTRY = 56
"""Where the root group's entry stands in a superblock of version 0 with addresses of 8 bytes."""

DATASPACE, DATATYPE, EXTERNAL, LAYOUT, FILTERS, CONTINUED, SYMBOLS = 0x01, 0x03, 0x07, 0x08, 0x0B, 0x10, 0x11
"""Messages of an object header."""

FIXED, FLOATING = 0, 1
"""Classes of a datatype."""

OBJECTS, DEPTH = 10_000, 16
"""Groups and arrays in one file, and groups within groups, at most."""


def read_hdf5(what: Weights | str | Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of an HDF5 file by their paths.

    Parameters
    ----------
    what : Weights or path
        A record is looked for in its sources and held to its digest; a path is read as it is.

    Returns
    -------
    dict of str to numpy.ndarray
        Such as ``conv2d_1/conv2d_1/kernel:0``; read-only.

    Raises
    ------
    WeightsMissing
        D2F502: not on this machine.
    D2FError
        D2F503: another digest than the record's. D2F505: not such a file, or damaged.
    """
    data = checked_bytes(what) if isinstance(what, Weights) else user_file_bytes(Path(what))
    name = what.name if isinstance(what, Weights) else what
    try:
        return _File(data).arrays()
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        message = f"'{name}' is no HDF5 file of plain arrays"
        raise D2FError.of("D2F505", message, str(error), "nothing in it was run") from error


class _File:
    """A file's bytes, and what of it has been seen."""

    def __init__(self, data: bytes) -> None:
        if not data.startswith(SIGNATURE):
            raise ValueError("it does not begin as HDF5 does")
        if data[8] != 0 or data[13] != 8 or data[14] != 8:
            raise ValueError(f"superblock {data[8]} is not read, 0 with addresses of 8 bytes is")
        self._data = data
        self._seen: set[int] = set()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all arrays by path."""
        return dict(self._object(self._number(ROOT_ENTRY + 8), "", DEPTH))

    def _object(self, address: int, path: str, depth: int) -> Iterator[tuple[str, NDArray[Any]]]:
        if address in self._seen or len(self._seen) >= OBJECTS or not depth:
            raise ValueError(f"'{path}' is linked in a circle, too deep, or one object too many")
        self._seen.add(address)
        messages = dict(self._messages(address))
        if SYMBOLS in messages:
            tree, heap = self._number(messages[SYMBOLS][0]), self._number(messages[SYMBOLS][0] + 8)
            if self._bytes(heap, 4) != b"HEAP":
                raise ValueError(f"byte {heap} is no heap")
            for name, child in self._children(tree, self._number(heap + 24), DEPTH):
                yield from self._object(child, f"{path}/{name}".lstrip("/"), depth - 1)
        elif LAYOUT in messages:
            yield path, self._array(messages, path)

    def _messages(self, address: int) -> Iterator[tuple[int, tuple[int, int]]]:
        """Yield kind, and place and size, of each message of an object header of version 1."""
        if self._bytes(address, 1) != b"\x01":
            raise ValueError(f"byte {address} is no object header of version 1")
        blocks = [(address + 16, self._number(address + 8, 4))]
        for place, size in blocks:
            end = place + size
            while place + 8 <= end:
                kind, length = self._number(place, 2), self._number(place + 2, 2)
                if kind == CONTINUED:
                    if len(blocks) > OBJECTS:
                        raise ValueError("an object header goes on for ever")
                    blocks.append((self._number(place + 8), self._number(place + 16)))
                elif kind:
                    yield kind, (place + 8, length)
                place += 8 + length

    def _children(self, address: int, heap: int, depth: int) -> Iterator[tuple[str, int]]:
        """Yield name and address of a group's members, out of its tree; the names stand from `heap` on."""
        mark = self._bytes(address, 4)
        if mark == b"SNOD":
            for number in range(self._number(address + 6, 2)):
                entry = address + 8 + 40 * number
                place = heap + self._number(entry)
                yield self._data[place : self._data.index(b"\0", place)].decode("utf-8"), self._number(entry + 8)
        elif mark == b"TREE" and depth:
            for number in range(self._number(address + 6, 2)):
                yield from self._children(self._number(address + 24 + 8 + 16 * number), heap, depth - 1)
        else:
            raise ValueError(f"byte {address} is no node of a group")

    def _array(self, messages: dict[int, tuple[int, int]], path: str) -> NDArray[Any]:
        import numpy as np

        if FILTERS in messages or EXTERNAL in messages:
            raise ValueError(f"'{path}' is compressed or lies in another file")
        if DATASPACE not in messages or DATATYPE not in messages:
            raise ValueError(f"'{path}' has no shape or no type")
        shape, dtype = self._shape(messages[DATASPACE][0]), self._dtype(messages[DATATYPE][0], path)
        place = messages[LAYOUT][0]
        version, kind = self._bytes(place, 2)
        if version != 3 or kind not in (0, 1):
            raise ValueError(f"'{path}' is stored in pieces")
        start, size = (
            (place + 4, self._number(place + 2, 2))
            if kind == 0
            else (self._number(place + 2), self._number(place + 10))
        )
        if size != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"'{path}' has {size} bytes for shape {shape}")
        flat = np.frombuffer(self._bytes(start, size), dtype)
        return flat.reshape(shape).astype(dtype.newbyteorder("="), copy=False)

    def _shape(self, place: int) -> tuple[int, ...]:
        version, rank = self._bytes(place, 2)
        if version not in (1, 2) or rank > 32:
            raise ValueError(f"byte {place} is no shape")
        first = place + (8 if version == 1 else 4)
        return tuple(self._number(first + 8 * axis) for axis in range(rank))

    def _dtype(self, place: int, path: str) -> Any:
        import numpy as np

        kind, bits, size = self._bytes(place, 1)[0] & 0x0F, self._bytes(place + 1, 1)[0], self._number(place + 4, 4)
        letter = {FLOATING: "f", FIXED: "i" if bits & 0x08 else "u"}.get(kind)
        if letter is None or size not in (1, 2, 4, 8) or (letter == "f" and size == 1):
            raise ValueError(f"'{path}' is of a type that is not read")
        return np.dtype(f"{'>' if bits & 1 else '<'}{letter}{size}")

    def _number(self, place: int, size: int = 8) -> int:
        return int.from_bytes(self._bytes(place, size), "little")

    def _bytes(self, place: int, size: int) -> bytes:
        if place + size > len(self._data):
            raise ValueError(f"byte {place + size} lies behind the end")
        return self._data[place : place + size]
