"""The safetensors format: read by its own library, written here so that equal arrays give equal bytes.

The library's writer orders the metadata as its hash map does, which changes between runs. The format is 8
bytes of header length (little-endian), a JSON header and the arrays' bytes, in C order, little-endian
(https://github.com/huggingface/safetensors, "Format").
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
