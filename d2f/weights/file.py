"""Weights files: safetensors or .npz, read strictly, written so that equal arrays give equal bytes.

Which images weights were trained on is carried inside the file. safetensors are read by their own library, whose writer
orders the metadata as its hash map does, which changes between runs; so they are written here: 8 bytes of header length
(little-endian), a JSON header and the arrays' bytes, in C order (https://github.com/huggingface/safetensors, "Format").
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2f.api.errors import D2FError, Exit, Problem, WeightsMissing
from d2f.api.inputs import Weights
from d2f.files import write_whole
from d2f.weights.sources import SUFFIXES, located, missing_weights, pinned, user_file_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]

Shape = Sequence[int | None]


def strict(arrays: Mapping[str, Any], expected: Mapping[str, Shape], name: str = "") -> None:
    """Refuse arrays that are not exactly those of a model.

    Parameters
    ----------
    arrays : mapping of str to array
        As `read_weights` returned them.
    expected : mapping of str to shape
        Every name that the model has; None in a shape stands for any size.
    name : str, optional
        What the weights are called in the error.

    Raises
    ------
    D2FError
        D2F504, exit code 3: every name that is missing, unknown or has another shape.

    Examples
    --------
    >>> import numpy as np
    >>> strict({"bias": np.zeros(3)}, {"bias": (3,)})
    """
    missing = [f"missing: {key} {_spelled(expected[key])}" for key in sorted(expected.keys() - arrays.keys())]
    unknown = [f"unknown: {key} {_spelled(arrays[key].shape)}" for key in sorted(arrays.keys() - expected.keys())]
    shapes = [
        f"shape of {key}: {_spelled(arrays[key].shape)}, not {_spelled(shape)}"
        for key, shape in sorted(expected.items())
        if key in arrays and not _shape_fits(arrays[key].shape, shape)
    ]
    notes = (*missing, *unknown, *shapes)
    if notes:
        called = f"weights '{name}'" if name else "the weights"
        raise D2FError(Problem("D2F504", f"{called} do not fit the model", notes=notes), Exit.PLUGIN)


def _shape_fits(shape: Sequence[int], wanted: Shape) -> bool:
    return len(shape) == len(wanted) and all(
        size == want for size, want in zip(shape, wanted, strict=True) if want is not None
    )


def _spelled(shape: Shape) -> str:
    return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"


KEY = "d2f.trained_on"
"""Name of the array in a weights file."""


def short_digests(digests: Iterable[str]) -> NDArray[np.uint64]:
    """Return what a weights file keeps of images' digests.

    Parameters
    ----------
    digests : iterable of str
        sha256 of each image file, 64 hexadecimal digits.

    Returns
    -------
    numpy.ndarray, shape (n,), uint64
        The first 8 bytes of each, big-endian; sorted, each once.

    Examples
    --------
    >>> short_digests(["00000000000000ff" + "0" * 48]).tolist()
    [255]
    """
    import numpy as np

    return np.unique(np.fromiter((int(digest[:16], 16) for digest in digests), dtype=np.uint64))


ZIP = b"PK"
"""How an .npz file begins; anything else is taken for safetensors."""

CHECKPOINTS = (".pth", ".pt", ".ckpt")
"""Endings of PyTorch checkpoints, which are never read here."""


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A weights file's content.

    Parameters
    ----------
    arrays : dict of str to numpy.ndarray
        The weights by name, without `d2f.trained_on`.
    metadata : dict of str to str
        What the file says of itself; empty for .npz.
    sha256 : str
        Digest of the whole file, 64 hexadecimal digits.
    trained_on : numpy.ndarray, shape (n,), uint64, or None
        First 8 bytes, big-endian, of the sha256 of each image that it was trained on; None where it does not say.
    """

    arrays: Arrays = field(repr=False)
    metadata: dict[str, str]
    sha256: str
    trained_on: NDArray[np.uint64] | None = field(default=None, repr=False)


def checked_bytes(record: Weights) -> bytes:
    """Return the file of a record, held to its digest; for files of another format than `read_weights` reads.

    Raises
    ------
    WeightsMissing
        D2F502: not on this machine.
    D2FError
        D2F503: another digest than the record's.
    """
    record = pinned(record)
    found = located(record)
    if found is None:
        raise WeightsMissing(missing_weights(record))
    data = user_file_bytes(found.file) if isinstance(found.file, Path) else found.file.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != record.sha256:
        notes = (f"pinned  {record.sha256}", f"found   {sha256}", "the file is damaged or was replaced: fetch it again")
        message = f"weights '{record.name}' have not the pinned digest"
        raise D2FError(Problem("D2F503", message, notes=notes), Exit.PLUGIN)
    return data


def read_weights(what: Weights | str | os.PathLike[str]) -> WeightsFile:
    """Read a weights file.

    Parameters
    ----------
    what : Weights or path
        A record is looked for in its sources and held to its digest; a path is read as it is.

    Raises
    ------
    WeightsMissing
        D2F502: not on this machine.
    D2FError
        D2F503: another digest than the record's. D2F505: neither safetensors nor an .npz of plain arrays.
    """
    named = isinstance(what, Weights)
    name = f"weights '{what.name}'" if isinstance(what, Weights) else f"weights file '{os.fspath(what)}'"
    data = checked_bytes(what) if isinstance(what, Weights) else user_file_bytes(Path(what))
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        arrays, metadata = (npz_arrays(data), {}) if data.startswith(ZIP) else safetensors_arrays(data)
    except Exception as error:
        notes = [f"{type(error).__name__}: {error}".splitlines()[0]]
        if name.removesuffix("'").endswith(CHECKPOINTS):
            notes.append("to convert a PyTorch checkpoint: d2f weights convert IN OUT.safetensors")
        message = f"{name} {'are' if named else 'is'} neither safetensors nor .npz of plain arrays"
        raise D2FError(Problem("D2F505", message, notes=tuple(notes)), Exit.PLUGIN) from error
    return WeightsFile(arrays, metadata, sha256, arrays.pop(KEY, None))


def write_weights(
    path: str | os.PathLike[str],
    arrays: Mapping[str, NDArray[Any]],
    metadata: Mapping[str, str] | None = None,
    trained_on: NDArray[np.uint64] | None = None,
) -> str:
    """Write a weights file as safetensors or .npz and return its sha256; equal content gives equal bytes.

    Parameters
    ----------
    path : path
        Ends with ``.safetensors`` or ``.npz``. What stood there is replaced at once, never in part.
    arrays : mapping of str to numpy.ndarray
        Floats, integers or booleans, of any shape.
    metadata : mapping of str to str, optional
        What the file says of itself; an .npz file cannot hold it.
    trained_on : numpy.ndarray, shape (n,), uint64, optional
        What `short_digests` makes of the training images.

    Raises
    ------
    ValueError
        `path` ends with neither.
    D2FError
        D2F004: the file cannot be written.
    """
    target = Path(path)
    if target.suffix not in SUFFIXES:
        raise ValueError(f"weights are written as .safetensors or .npz, not as '{target.name}'")
    held = dict(arrays) if trained_on is None else {**arrays, KEY: trained_on}
    npz = target.suffix == ".npz"
    data = npz_bytes(held) if npz else safetensors_bytes(held, metadata or {})
    write_whole(target, data)
    return hashlib.sha256(data).hexdigest()


DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
}
"""numpy's names of the dtypes that can be written, and the format's."""

ALIGNMENT = 8


def safetensors_bytes(arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> bytes:
    """Return a safetensors file; the same arrays and metadata give the same bytes."""
    import numpy as np

    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    parts, end = [], 0
    # Wide dtypes first, so that each array starts at a multiple of its item size.
    for name in sorted(arrays, key=lambda name: (-np.asarray(arrays[name]).itemsize, name)):
        array = np.asarray(arrays[name])
        if array.dtype.name not in DTYPES:
            raise TypeError(f"array '{name}' has dtype {array.dtype}, which a weights file cannot hold")
        # tobytes() is in C order whatever the array's own order is.
        parts.append(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
        start, end = end, end + len(parts[-1])
        header[name] = {"dtype": DTYPES[array.dtype.name], "shape": list(array.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])


def safetensors_arrays(data: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Return the arrays and the metadata of a safetensors file; raises whatever the library raises."""
    from safetensors.numpy import load

    arrays: dict[str, NDArray[Any]] = load(data)
    # The library has checked the header by now, but gives no way to its metadata from bytes.
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return arrays, dict(header.get("__metadata__") or {})


SUFFIX = ".npy"
UNPACKED, RATIO = 2**28, 20
"""Bytes that an .npz file may unpack to at most, and how many times its own: weights are hardly packed at all."""

LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip archive can name; the hour of writing is no part of weights."""


def npz_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return an .npz file."""
    import numpy as np

    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name in sorted(arrays):
            array = np.asarray(arrays[name])
            if array.dtype.name not in DTYPES:
                raise TypeError(f"array '{name}' has dtype {array.dtype}, which a weights file cannot hold")
            little = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
            with archive.open(zipfile.ZipInfo(f"{name}{SUFFIX}", LONG_AGO), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, little, allow_pickle=False)
    return held.getvalue()


def npz_arrays(data: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of an .npz file; raises whatever NumPy raises."""
    import numpy as np

    with zipfile.ZipFile(io.BytesIO(data)) as archive, np.load(io.BytesIO(data), allow_pickle=False) as held:
        # numpy hands out the bytes of a member that is no array; such a file is not one of weights.
        strangers = [name for name in archive.namelist() if not name.endswith(SUFFIX)]
        if strangers:
            raise ValueError(f"it holds '{strangers[0]}', which is no array")
        unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > max(UNPACKED, RATIO * len(data)):
            raise ValueError(f"{len(data)} bytes unpack to {unpacked}")
        return {name: held[name] for name in held.files}
