"""ONNX files read for their tensors alone; the graph is not run, and `onnx` is not needed.

An ONNX file is one protobuf message. Of it the initialisers are read (`TensorProto`), and of each node its operator
and the names it takes, so that a tensor's place in the network can be found where its name does not tell it. Field
numbers are those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto), the encoding is protobuf's
(https://protobuf.dev/programming-guides/encoding/).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from d2f.api.errors import D2FError

if TYPE_CHECKING:
    from numpy.typing import NDArray


Field: TypeAlias = "tuple[int, int | memoryview]"
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types; groups (3, 4) are not used by ONNX."""

GRAPH, NODE, INITIALIZER = 7, 1, 5
INPUT, OPERATOR = 1, 4
DIMS, DATA_TYPE, FLOATS, NAME, RAW, INT32S, INT64S, LOCATION = 1, 2, 4, 8, 9, 5, 7, 14
"""Numbers of the fields of ModelProto, GraphProto, NodeProto and TensorProto."""

DTYPES = {1: "<f4", 2: "<u1", 3: "<i1", 5: "<i2", 6: "<i4", 7: "<i8", 9: "<?", 10: "<f2", 11: "<f8"}
"""TensorProto.DataType and the dtype that raw data are read as."""


@dataclass(frozen=True, slots=True)
class OnnxNode:
    """One node of the graph: its operator, and what it takes, in order."""

    operator: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """What an ONNX file holds.

    Parameters
    ----------
    tensors : dict of str to numpy.ndarray
        The initialisers by name; read-only.
    nodes : tuple of OnnxNode
        In the file's order, which ONNX demands to be an order of evaluation.
    """

    tensors: dict[str, NDArray[Any]]
    nodes: tuple[OnnxNode, ...]


def read_onnx(data: bytes, name: str = "file") -> OnnxFile:
    """Return the tensors and nodes of an ONNX file.

    Parameters
    ----------
    data : bytes
        The whole file.
    name : str
        What errors call it.

    Raises
    ------
    D2FError
        D2F505: not an ONNX file, damaged, or its tensors lie in another file or in a type that is not read.
    """
    try:
        graph = [value for number, value in fields_of(memoryview(data)) if number == GRAPH]
        if len(graph) != 1:
            raise ValueError(f"it holds {len(graph)} graphs, not one")
        parts = list(fields_of(message(graph[0])))
        tensors = dict(_tensor(message(value)) for number, value in parts if number == INITIALIZER)
        nodes = tuple(_node(message(value)) for number, value in parts if number == NODE)
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise D2FError.of("D2F505", f"{name} is no ONNX file whose tensors can be read", str(error)) from error
    return OnnxFile(tensors, nodes)


def fields_of(data: memoryview) -> Iterator[Field]:
    """Yield the number and value of each field of a message; ValueError or IndexError where it is none."""
    place = 0
    while place < len(data):
        key, place = varint(data, place)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, place = varint(data, place)
            yield number, value
            continue
        size = {FIXED64: 8, FIXED32: 4}.get(wire)
        if wire == BYTES:
            size, place = varint(data, place)
        if size is None:
            raise ValueError(f"byte {place} is not a field's")
        if place + size > len(data):
            raise ValueError(f"a field ends {place + size - len(data)} bytes behind the end")
        yield number, data[place : place + size]
        place += size


def varint(data: memoryview, place: int) -> tuple[int, int]:
    """Return the number at a place, unsigned, and the place after it."""
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
        if shift > 63:
            raise ValueError(f"byte {place} goes on with a number of more than 64 bits")


def message(value: int | memoryview) -> memoryview:
    """Return a field's value as a message."""
    if isinstance(value, int):
        raise ValueError("a number stands where a message should")
    return value


def utf8_text(value: int | memoryview) -> str:
    """Return a field's value as text."""
    return str(message(value), "utf-8")


def _node(data: memoryview) -> OnnxNode:
    fields = list(fields_of(data))
    operator = "".join(utf8_text(value) for number, value in fields if number == OPERATOR)
    return OnnxNode(operator, tuple(utf8_text(value) for number, value in fields if number == INPUT))


def numbers_of(values: list[int | memoryview]) -> list[int]:
    """Return repeated integers, packed or one by one."""
    found: list[int] = []
    for value in values:
        if isinstance(value, int):
            found.append(value)
            continue
        place = 0
        while place < len(value):
            number, place = varint(value, place)
            found.append(number)
    return found


def _tensor(data: memoryview) -> tuple[str, NDArray[Any]]:
    import numpy as np

    held: dict[int, list[int | memoryview]] = {}
    for number, value in fields_of(data):
        held.setdefault(number, []).append(value)
    name = "".join(map(utf8_text, held.get(NAME, [])))
    shape = numbers_of(held.get(DIMS, []))
    kind = numbers_of(held.get(DATA_TYPE, [0]))[-1]
    if any(numbers_of(held.get(LOCATION, []))):
        raise ValueError(f"tensor '{name}' lies in another file")
    if kind not in DTYPES:
        raise ValueError(f"tensor '{name}' is of data type {kind}, which is not read")
    if RAW in held:
        flat = np.frombuffer(b"".join(map(message, held[RAW])), DTYPES[kind])
    elif FLOATS in held:
        flat = np.frombuffer(b"".join(map(message, held[FLOATS])), "<f4")
    else:
        whole = np.array(numbers_of(held.get(INT32S, []) + held.get(INT64S, [])), np.uint64)
        flat = whole.astype(np.int64).astype(DTYPES[kind])
    if flat.size != math.prod(shape):
        raise ValueError(f"tensor '{name}' has {flat.size} numbers for shape {tuple(shape)}")
    return name, flat.reshape(shape).astype(flat.dtype.newbyteorder("="), copy=False)
