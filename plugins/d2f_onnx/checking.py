"""An ONNX file looked through before onnxruntime is given it: whatever could run or read something else is refused.

The field numbers are those of onnx.proto3 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3). Nothing is
copied or decoded but names, shapes and small integers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

Value: TypeAlias = "int | memoryview"

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types of protobuf; groups (3, 4) are not used by ONNX."""

MODEL_GRAPH, MODEL_FUNCTION = 7, 25
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_SPARSE = 1, 5, 15
NODE_INPUT, NODE_OUTPUT, NODE_OPERATOR, NODE_ATTRIBUTE, NODE_DOMAIN = 1, 2, 4, 5, 7
FUNCTION_NAME, FUNCTION_NODE, FUNCTION_DOMAIN = 1, 7, 10
ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS, ATTRIBUTE_SPARSE, ATTRIBUTE_INTEGERS = (5, 10), (6, 11), (22, 23), 8
SPARSE_TENSORS = (1, 2)
TENSOR_INT64S, TENSOR_NAME, TENSOR_RAW, TENSOR_EXTERNAL, TENSOR_LOCATION = 7, 8, 9, 13, 14
ENTRY_KEY, ENTRY_VALUE = 1, 2

DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
"""Whose operators onnxruntime has built in."""

FILLED = ("ConstantOfShape", "Expand")
"""Operators whose output is as large as a number in the file says."""

RANK = 8
"""Numbers of the longest shape that is looked at."""

DEPTH = 16
"""Graphs inside of graphs (branches and loops), at most."""

LARGEST = 2**28
"""Numbers in one tensor that is filled by an operator, at most: 1 GiB of float32."""


class Refused(Exception):
    """The file is not given to onnxruntime; the message names what is refused."""


@dataclass
class _Seen:
    """What has been seen of a file: operators by domain, and what short tensors say, taken for shapes."""

    functions: set[tuple[str, str]] = field(default_factory=set)
    sizes: dict[str, int] = field(default_factory=dict)
    operators: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)


def check_onnx(data: bytes) -> None:
    """Look an ONNX file through.

    Parameters
    ----------
    data : bytes
        The whole file.

    Raises
    ------
    Refused
        It is none, or is cut off; a tensor lies in another file; an operator is of a domain that onnxruntime does
        not have built in and that the file does not define; graphs lie deeper in each other than `DEPTH`; or a
        tensor is filled with more than `LARGEST` numbers.
    """
    seen = _Seen()
    try:
        parts = [(number, _bytes(value)) for number, value in _fields(memoryview(data)) if _is_part(number)]
        graphs = [part for number, part in parts if number == MODEL_GRAPH]
        if len(graphs) != 1:
            raise Refused(f"it holds {len(graphs)} graphs, not one")
        for number, part in parts:
            if number == MODEL_FUNCTION:
                _function(part, seen)
        _graph(graphs[0], seen, DEPTH)
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise Refused(f"it is no ONNX file, or damaged: {error}") from error
    _operators(seen)


def _operators(seen: _Seen) -> None:
    if not seen.operators:
        raise Refused("its graph holds no operator")
    for domain, operator, inputs in seen.operators:
        if domain not in DOMAINS and (domain, operator) not in seen.functions:
            raise Refused(f"operator '{operator}' is of the custom domain '{domain}', which cannot be checked")
        largest = max((seen.sizes.get(name, 0) for name in inputs), default=0)
        if operator in FILLED and largest > LARGEST:
            raise Refused(f"operator '{operator}' makes a tensor of {largest} numbers; {LARGEST} are allowed")


def _is_part(number: int) -> bool:
    return number in (MODEL_GRAPH, MODEL_FUNCTION)


def _function(data: memoryview, seen: _Seen) -> None:
    name = domain = ""
    for number, value in _fields(data):
        if number == FUNCTION_NAME:
            name = _text(value)
        elif number == FUNCTION_DOMAIN:
            domain = _text(value)
        elif number == FUNCTION_NODE:
            _node(_bytes(value), seen, DEPTH)
    seen.functions.add((domain, name))


def _graph(data: memoryview, seen: _Seen, depth: int) -> None:
    if not depth:
        raise Refused(f"graphs lie in each other more than {DEPTH} deep")
    for number, value in _fields(data):
        if number == GRAPH_NODE:
            _node(_bytes(value), seen, depth)
        elif number == GRAPH_INITIALIZER:
            _tensor(_bytes(value), seen)
        elif number == GRAPH_SPARSE:
            _sparse(_bytes(value), seen)


def _node(data: memoryview, seen: _Seen, depth: int) -> None:
    operator = domain = ""
    inputs, outputs = [], []
    size = 0
    for number, value in _fields(data):
        if number == NODE_INPUT:
            inputs.append(_text(value))
        elif number == NODE_OUTPUT:
            outputs.append(_text(value))
        elif number == NODE_OPERATOR:
            operator = _text(value)
        elif number == NODE_DOMAIN:
            domain = _text(value)
        elif number == NODE_ATTRIBUTE:
            size = max(size, _attribute(_bytes(value), seen, depth))
    seen.operators.append((domain, operator, tuple(inputs)))
    if operator == "Constant" and outputs:
        seen.sizes[outputs[0]] = size


def _attribute(data: memoryview, seen: _Seen, depth: int) -> int:
    size = 0
    for number, value in _fields(data):
        if number in ATTRIBUTE_TENSORS:
            size = _tensor(_bytes(value), seen)
        elif number in ATTRIBUTE_GRAPHS:
            _graph(_bytes(value), seen, depth - 1)
        elif number in ATTRIBUTE_SPARSE:
            _sparse(_bytes(value), seen)
        elif number == ATTRIBUTE_INTEGERS:
            size = math.prod(_integers(value)) * max(1, size)
    return size


def _sparse(data: memoryview, seen: _Seen) -> None:
    for number, value in _fields(data):
        if number in SPARSE_TENSORS:
            _tensor(_bytes(value), seen)


def _tensor(data: memoryview, seen: _Seen) -> int:
    """Return how many numbers a tensor of this shape would have, where this one is short enough to be a shape."""
    name, where = "", ""
    external = False
    whole: list[int] = []
    for number, value in _fields(data):
        if number == TENSOR_NAME:
            name = _text(value)
        elif number == TENSOR_EXTERNAL:
            external, where = True, where or _location(_bytes(value))
        elif number == TENSOR_LOCATION:
            external |= bool(value)
        elif number == TENSOR_INT64S and (isinstance(value, int) or len(value) <= RANK * 10):
            whole += _integers(value)
        elif number == TENSOR_RAW and len(_bytes(value)) <= RANK * 8 and not len(_bytes(value)) % 8:
            whole += memoryview(bytes(_bytes(value))).cast("q").tolist()
    if external:
        place = f" ('{where[:80]}')" if where else ""
        raise Refused(f"tensor '{name[:80]}' lies in another file{place}")
    seen.sizes[name] = size = math.prod(max(1, number) for number in whole) if 0 < len(whole) <= RANK else 0
    return size


def _location(data: memoryview) -> str:
    entry = {number: _text(value) for number, value in _fields(data) if number in (ENTRY_KEY, ENTRY_VALUE)}
    return entry.get(ENTRY_VALUE, "") if entry.get(ENTRY_KEY) == "location" else ""


def _fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, place = _varint(data, place)
            yield number, value
            continue
        size = {FIXED64: 8, FIXED32: 4}.get(wire)
        if wire == BYTES:
            size, place = _varint(data, place)
        if size is None:
            raise ValueError(f"byte {place} is not a field's")
        if place + size > len(data):
            raise ValueError(f"a field ends {place + size - len(data)} bytes behind the end")
        yield number, data[place : place + size]
        place += size


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
        if shift > 63:
            raise ValueError(f"byte {place} goes on with a number of more than 64 bits")


def _integers(value: Value) -> list[int]:
    """Return repeated integers, packed or one by one, signed."""
    found = []
    if isinstance(value, int):
        found.append(value)
    else:
        place = 0
        while place < len(value):
            number, place = _varint(value, place)
            found.append(number)
    return [number - 2**64 if number >= 2**63 else number for number in found]


def _bytes(value: Value) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number stands where a message should")
    return value


def _text(value: Value) -> str:
    return str(_bytes(value), "utf-8")
