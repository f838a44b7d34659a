"""ONNX files read for their tensors, and looked through before they are run; `onnx` is not needed.

An ONNX file is one protobuf message. Field numbers are those of onnx.proto
(https://github.com/onnx/onnx/blob/main/onnx/onnx.proto), the encoding is protobuf's
(https://protobuf.dev/programming-guides/encoding/). Nothing is copied or decoded before it is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from d2f.api.errors import D2FError, Exit, Problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

Value: TypeAlias = "int | memoryview"
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types; groups (3, 4) are not used by ONNX."""

FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "function": {1: "name", 7: "node", 10: "domain"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {1: "input", 2: "output", 4: "operator", 5: "attribute", 7: "domain"},
    "attribute": {5: "tensor", 10: "tensor", 6: "graph", 11: "graph", 22: "sparse", 23: "sparse", 8: "integers"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {1: "shape", 2: "type", 4: "floats", 5: "int32s", 7: "int64s"}
    | {8: "name", 9: "raw", 13: "external", 14: "location"},
    "external": {1: "key", 2: "value"},
}
"""The fields that are looked at, by kind of message and number; one that is a message has the name of its kind."""

DTYPES = {1: "<f4", 2: "<u1", 3: "<i1", 5: "<i2", 6: "<i4", 7: "<i8", 9: "<?", 10: "<f2", 11: "<f8"}
"""TensorProto.DataType and the dtype that raw data are read as."""

DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
"""Whose operators onnxruntime has built in."""

FILLED = ("ConstantOfShape", "Expand")
"""Operators whose output is as large as a number in the file says."""

RANDOM = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial")
"""Operators whose output differs from run to run."""

RANK = 8
"""Numbers of the longest shape that is looked at."""

DEPTH = 16
"""Graphs inside of graphs (branches and loops), at most."""

LARGEST = 2**28
"""Numbers in one tensor that is filled by an operator, at most: 1 GiB of float32."""


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


class OnnxRefused(ValueError):
    """The file may not be run; the message names what is refused."""


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
        graph = _only_graph(_Message(memoryview(data), "model"))
        tensors = {tensor.text("name"): _array(tensor) for tensor in graph.parts("tensor")}
        nodes = tuple(OnnxNode(node.text("operator"), tuple(node.texts("input"))) for node in graph.parts("node"))
    except (ValueError, IndexError) as error:
        raise D2FError.of("D2F505", f"{name} is no ONNX file whose tensors can be read", str(error)) from error
    return OnnxFile(tensors, nodes)


def check_onnx(data: bytes, name: str = "file") -> None:
    """Look an ONNX file through before onnxruntime is given it: whatever could run or read something else is refused.

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
        onnxruntime does not have built in and that the file does not define; an operator draws random numbers;
        graphs lie in each other more than 16 deep; or a number in the file asks for a tensor of more than 2^28 numbers.
    """
    try:
        model = _Message(memoryview(data), "model")
        graph, functions = _only_graph(model), model.parts("function")
        look = _Look()
        for function in functions:
            for node in function.parts("node"):
                look.node(node, DEPTH)
        look.graph(graph, DEPTH)
        look.operators_allowed({(function.text("domain"), function.text("name")) for function in functions})
    except (ValueError, IndexError) as error:
        said = str(error) if isinstance(error, OnnxRefused) else f"it is no ONNX file, or damaged: {error}"
        problem = Problem("D2F505", f"{name} is refused", notes=(said, "nothing in it was run"))
        raise D2FError(problem, Exit.PLUGIN) from error


class _Message:
    """The fields of a message that are looked at; ValueError or IndexError where it is none."""

    def __init__(self, data: Value, kind: str) -> None:
        self._held: dict[str, list[Value]] = {}
        for number, value in _fields(_as_message(data)):
            if name := FIELDS[kind].get(number):
                self._held.setdefault(name, []).append(value)

    def values(self, name: str) -> list[Value]:
        return self._held.get(name, [])

    def parts(self, name: str) -> list[_Message]:
        return [_Message(value, name) for value in self.values(name)]

    def texts(self, name: str) -> list[str]:
        return [str(_as_message(value), "utf-8") for value in self.values(name)]

    def text(self, name: str) -> str:
        """Return the last value, as protobuf does; empty where there is none."""
        return self.texts(name)[-1] if name in self._held else ""

    def integers(self, *names: str, longest: float = math.inf) -> list[int]:
        """Return signed integers of 64 bits, packed or one by one; packed ones of more than `longest` bytes are not."""
        found: list[int] = []
        for value in (value for name in names for value in self.values(name)):
            if isinstance(value, int):
                found.append(value)
                continue
            place = 0 if len(value) <= longest else len(value)
            while place < len(value):
                number, place = _varint(value, place)
                found.append(number)
        return [number - 2**64 if number >= 2**63 else number for number in found]


def _fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    """Yield the number and value of each field of a message."""
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


def _as_message(value: Value) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number stands where a message should")
    return value


def _only_graph(model: _Message) -> _Message:
    graphs = model.parts("graph")
    if len(graphs) != 1:
        raise OnnxRefused(f"it holds {len(graphs)} graphs, not one")
    return graphs[0]


def _array(tensor: _Message) -> NDArray[Any]:
    import numpy as np

    name, shape = tensor.text("name"), tensor.integers("shape")
    kind = (tensor.integers("type") or [0])[-1]
    if any(tensor.integers("location")):
        raise ValueError(f"tensor '{name}' lies in another file")
    if kind not in DTYPES:
        raise ValueError(f"tensor '{name}' is of data type {kind}, which is not read")
    if raw := tensor.values("raw"):
        flat = np.frombuffer(b"".join(map(_as_message, raw)), DTYPES[kind])
    elif floats := tensor.values("floats"):
        flat = np.frombuffer(b"".join(map(_as_message, floats)), "<f4")
    else:
        flat = np.array(tensor.integers("int32s", "int64s"), np.int64).astype(DTYPES[kind])
    if flat.size != math.prod(shape):
        raise ValueError(f"tensor '{name}' has {flat.size} numbers for shape {tuple(shape)}")
    return flat.reshape(shape).astype(flat.dtype.newbyteorder("="), copy=False)


class _Look:
    """What has been seen of a file: its operators, and what short tensors say, taken for shapes."""

    def __init__(self) -> None:
        self.operators: list[tuple[str, str, list[str]]] = []
        self.sizes: dict[str, int] = {}

    def graph(self, graph: _Message, depth: int) -> None:
        """Look at a graph and what lies in it; `depth` more may lie in each other."""
        if not depth:
            raise OnnxRefused(f"graphs lie in each other more than {DEPTH} deep")
        for node in graph.parts("node"):
            self.node(node, depth)
        self.tensors(graph)

    def node(self, node: _Message, depth: int) -> None:
        size = 0
        for attribute in node.parts("attribute"):
            for graph in attribute.parts("graph"):
                self.graph(graph, depth - 1)
            whole = attribute.integers("integers")
            size = max(size, self.tensors(attribute), math.prod(max(1, number) for number in whole) if whole else 0)
        operator, outputs = node.text("operator"), node.texts("output")
        self.operators.append((node.text("domain"), operator, node.texts("input")))
        if operator == "Constant" and outputs:
            self.sizes[outputs[0]] = size

    def tensors(self, holder: _Message) -> int:
        """Look at the tensors of a graph or attribute, and return the size that one of them asks for."""
        for sparse in holder.parts("sparse"):
            self.tensors(sparse)
        return max((self.tensor(tensor) for tensor in holder.parts("tensor")), default=0)

    def tensor(self, tensor: _Message) -> int:
        """Return how many numbers a tensor of this shape would have, where this one is short enough to be a shape."""
        name = tensor.text("name")
        external = tensor.parts("external")
        if external or any(tensor.integers("location")):
            where = next((entry.text("value") for entry in external if entry.text("key") == "location"), "")
            raise OnnxRefused(f"tensor '{name[:80]}' lies in another file" + (f" ('{where[:80]}')" if where else ""))
        whole = tensor.integers("int64s", longest=RANK * 10)
        for raw in map(_as_message, tensor.values("raw")):
            if len(raw) <= RANK * 8 and not len(raw) % 8:
                whole += memoryview(bytes(raw)).cast("q").tolist()
        self.sizes[name] = size = math.prod(max(1, number) for number in whole) if 0 < len(whole) <= RANK else 0
        return size

    def operators_allowed(self, functions: set[tuple[str, str]]) -> None:
        """Refuse operators that are neither onnxruntime's own nor functions of the file, and tensors too large."""
        if not self.operators:
            raise OnnxRefused("its graph holds no operator")
        for domain, operator, inputs in self.operators:
            if domain not in DOMAINS and (domain, operator) not in functions:
                raise OnnxRefused(f"operator '{operator}' is of the custom domain '{domain}', which cannot be checked")
            if operator in RANDOM and domain in DOMAINS:
                raise OnnxRefused(f"operator '{operator}' draws random numbers: scores would differ from run to run")
            largest = max((self.sizes.get(name, 0) for name in inputs), default=0)
            if operator in FILLED and largest > LARGEST:
                raise OnnxRefused(f"operator '{operator}' makes a tensor of {largest} numbers; {LARGEST} are allowed")
