"""An ONNX file looked through before it is run: whatever could run or read something else is refused.

The field numbers are those of onnx.proto3 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3). Nothing is
copied or decoded but names, shapes and small integers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from d2f.api.errors import D2FError, Exit, Problem
from d2f.weights.onnx_file import fields_of, message, numbers_of, utf8_text

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


class Refused(ValueError):
    """The file may not be run; the message names what is refused."""


@dataclass
class _Seen:
    """What has been seen of a file: operators by domain, and what short tensors say, taken for shapes."""

    functions: set[tuple[str, str]] = field(default_factory=set)
    sizes: dict[str, int] = field(default_factory=dict)
    operators: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)


def check_onnx(data: bytes, name: str = "file") -> None:
    """Look an ONNX file through before onnxruntime is given it.

    Parameters
    ----------
    data : bytes
        The whole file.
    name : str
        What errors call it.

    Raises
    ------
    D2FError
        D2F505: it is no ONNX file, or is cut off; a tensor lies in another file; an operator is of a domain that
        onnxruntime does not have built in and that the file does not define; graphs lie in each other more than
        16 deep; or a number in the file asks for a tensor of more than 2^28 numbers.
    """
    seen = _Seen()
    try:
        parts = list(fields_of(memoryview(data)))
        graphs = [message(value) for number, value in parts if number == MODEL_GRAPH]
        if len(graphs) != 1:
            raise Refused(f"it holds {len(graphs)} graphs, not one")
        for number, value in parts:
            if number == MODEL_FUNCTION:
                _function(message(value), seen)
        _graph(graphs[0], seen, DEPTH)
        _operators(seen)
    except (ValueError, IndexError) as error:
        said = str(error) if isinstance(error, Refused) else f"it is no ONNX file, or damaged: {error}"
        problem = Problem("D2F505", f"{name} is refused", notes=(said, "nothing in it was run"))
        raise D2FError(problem, Exit.PLUGIN) from error


def _operators(seen: _Seen) -> None:
    if not seen.operators:
        raise Refused("its graph holds no operator")
    for domain, operator, inputs in seen.operators:
        if domain not in DOMAINS and (domain, operator) not in seen.functions:
            raise Refused(f"operator '{operator}' is of the custom domain '{domain}', which cannot be checked")
        largest = max((seen.sizes.get(name, 0) for name in inputs), default=0)
        if operator in FILLED and largest > LARGEST:
            raise Refused(f"operator '{operator}' makes a tensor of {largest} numbers; {LARGEST} are allowed")


def _function(data: memoryview, seen: _Seen) -> None:
    name = domain = ""
    for number, value in fields_of(data):
        if number == FUNCTION_NAME:
            name = utf8_text(value)
        elif number == FUNCTION_DOMAIN:
            domain = utf8_text(value)
        elif number == FUNCTION_NODE:
            _node(message(value), seen, DEPTH)
    seen.functions.add((domain, name))


def _graph(data: memoryview, seen: _Seen, depth: int) -> None:
    if not depth:
        raise Refused(f"graphs lie in each other more than {DEPTH} deep")
    for number, value in fields_of(data):
        if number == GRAPH_NODE:
            _node(message(value), seen, depth)
        elif number == GRAPH_INITIALIZER:
            _tensor(message(value), seen)
        elif number == GRAPH_SPARSE:
            _sparse(message(value), seen)


def _node(data: memoryview, seen: _Seen, depth: int) -> None:
    operator = domain = ""
    inputs, outputs = [], []
    size = 0
    for number, value in fields_of(data):
        if number == NODE_INPUT:
            inputs.append(utf8_text(value))
        elif number == NODE_OUTPUT:
            outputs.append(utf8_text(value))
        elif number == NODE_OPERATOR:
            operator = utf8_text(value)
        elif number == NODE_DOMAIN:
            domain = utf8_text(value)
        elif number == NODE_ATTRIBUTE:
            size = max(size, _attribute(message(value), seen, depth))
    seen.operators.append((domain, operator, tuple(inputs)))
    if operator == "Constant" and outputs:
        seen.sizes[outputs[0]] = size


def _attribute(data: memoryview, seen: _Seen, depth: int) -> int:
    size = 0
    for number, value in fields_of(data):
        if number in ATTRIBUTE_TENSORS:
            size = _tensor(message(value), seen)
        elif number in ATTRIBUTE_GRAPHS:
            _graph(message(value), seen, depth - 1)
        elif number in ATTRIBUTE_SPARSE:
            _sparse(message(value), seen)
        elif number == ATTRIBUTE_INTEGERS:
            size = math.prod(_signed(numbers_of([value]))) * max(1, size)
    return size


def _sparse(data: memoryview, seen: _Seen) -> None:
    for number, value in fields_of(data):
        if number in SPARSE_TENSORS:
            _tensor(message(value), seen)


def _tensor(data: memoryview, seen: _Seen) -> int:
    """Return how many numbers a tensor of this shape would have, where this one is short enough to be a shape."""
    name, where = "", ""
    external = False
    whole: list[int] = []
    for number, value in fields_of(data):
        if number == TENSOR_NAME:
            name = utf8_text(value)
        elif number == TENSOR_EXTERNAL:
            external, where = True, where or _location(message(value))
        elif number == TENSOR_LOCATION:
            external |= bool(value)
        elif number == TENSOR_INT64S and (isinstance(value, int) or len(value) <= RANK * 10):
            whole += _signed(numbers_of([value]))
        elif number == TENSOR_RAW and len(message(value)) <= RANK * 8 and not len(message(value)) % 8:
            whole += memoryview(bytes(message(value))).cast("q").tolist()
    if external:
        place = f" ('{where[:80]}')" if where else ""
        raise Refused(f"tensor '{name[:80]}' lies in another file{place}")
    seen.sizes[name] = size = math.prod(max(1, number) for number in whole) if 0 < len(whole) <= RANK else 0
    return size


def _location(data: memoryview) -> str:
    entry = {number: utf8_text(value) for number, value in fields_of(data) if number in (ENTRY_KEY, ENTRY_VALUE)}
    return entry.get(ENTRY_VALUE, "") if entry.get(ENTRY_KEY) == "location" else ""


def _signed(values: Iterable[int]) -> list[int]:
    """Return 64-bit integers that stand in the file as unsigned ones."""
    return [number - 2**64 if number >= 2**63 else number for number in values]
