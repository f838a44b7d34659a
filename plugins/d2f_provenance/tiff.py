"""Directories of TIFF files and EXIF blocks, read within bounds (TIFF 6.0; Exif 3.0, CIPA DC-008)."""

from __future__ import annotations

from typing import TypeAlias

Value: TypeAlias = "bytes | int"
Directory: TypeAlias = dict[int, Value]
"""Tag to value: a number for a single integer, else the bytes as they stand."""

ENTRIES = 1024
"""The most entries that are read of one directory."""

VALUE_BYTES = 4 * 2**20
"""The most bytes of one value; a longer one is left out."""

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_INTEGERS = (1, 3, 4, 13, 16, 18)
_EXIF_DIRECTORY = 0x8769


def read_directories(data: bytes) -> list[Directory]:
    """Return the first directory, joined with the EXIF directory that it points to, and the second one.

    The second holds the thumbnail in EXIF, the second page in a TIFF.

    Parameters
    ----------
    data : bytes
        From the byte order mark on; anything else gives an empty list, as damage does.
    """
    order = {b"II": "little", b"MM": "big"}.get(data[:2])
    if order is None:
        return []
    reader = _Reader(data, order == "little", data[2:4] in (b"+\0", b"\0+"))
    first, second = reader.directory(reader.number(8 if reader.big else 4, reader.width))
    directories = [first]
    if isinstance(place := first.get(_EXIF_DIRECTORY), int):
        details, _ = reader.directory(place)
        directories = [details | first]
    if second:
        directories.append(reader.directory(second)[0])
    return directories


class _Reader:
    def __init__(self, data: bytes, little: bool, big: bool) -> None:
        self.data, self.little, self.big = data, little, big
        self.width = 8 if big else 4

    def number(self, at: int, width: int) -> int:
        return int.from_bytes(self.data[at : at + width], "little" if self.little else "big")

    def directory(self, at: int) -> tuple[Directory, int]:
        """Return the directory at a place and the place of the next one; both empty where it lies outside."""
        count_width, entry = (8, 20) if self.big else (2, 12)
        if not 0 < at <= len(self.data) - count_width:
            return {}, 0
        count = self.number(at, count_width)
        found: Directory = {}
        for place in range(at + count_width, at + count_width + entry * min(count, ENTRIES), entry):
            if place + entry > len(self.data):
                return found, 0
            value = self._value(place)
            if value is not None:
                found.setdefault(self.number(place, 2), value)
        return found, self.number(at + count_width + entry * count, self.width)

    def _value(self, place: int) -> Value | None:
        kind, count = self.number(place + 2, 2), self.number(place + 4, self.width)
        size = _SIZES.get(kind, 0) * count
        if not 0 < size <= VALUE_BYTES:
            return None
        at = place + 4 + self.width
        if size > self.width:
            at = self.number(at, self.width)
        if at + size > len(self.data):
            return None
        return self.number(at, size) if kind in _INTEGERS and count == 1 else self.data[at : at + size]
