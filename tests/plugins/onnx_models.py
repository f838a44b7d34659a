"""Small classifiers as ONNX files, put together by the protobuf encoding's own rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.onnx_writer import field

FLOAT, UINT8, INT64, FLOAT16 = 1, 2, 7, 10
INTEGER, INTEGERS, GRAPH = 2, 7, 5
"""AttributeProto's types."""


def node(operator: str, inputs: Sequence[str], outputs: Sequence[str], *attributes: bytes, domain: str = "") -> bytes:
    parts = [*(field(1, name) for name in inputs), *(field(2, name) for name in outputs), field(4, operator)]
    parts += [field(5, attribute) for attribute in attributes]
    return b"".join([*parts, *([field(7, domain)] if domain else [])])


def integer(name: str, value: int) -> bytes:
    return field(1, name) + field(3, value) + field(20, INTEGER)


def integers(name: str, *values: int) -> bytes:
    return field(1, name) + b"".join(field(8, value) for value in values) + field(20, INTEGERS)


def subgraph(name: str, graph: bytes) -> bytes:
    return field(1, name) + field(6, graph) + field(20, GRAPH)


def tensor(name: str, array: NDArray[Any]) -> bytes:
    kind = {"float32": FLOAT, "int64": INT64, "float16": FLOAT16}[array.dtype.name]
    dims = b"".join(field(1, size) for size in array.shape)
    return dims + field(2, kind) + field(8, name) + field(9, array.tobytes())


def external(name: str, shape: Sequence[int], location: str) -> bytes:
    entry = field(1, "location") + field(2, location)
    return (
        b"".join(field(1, size) for size in shape) + field(2, FLOAT) + field(8, name) + field(13, entry) + field(14, 1)
    )


def value(name: str, kind: int, shape: Sequence[int | str]) -> bytes:
    dims = b"".join(field(1, field(1, side) if isinstance(side, int) else field(2, side)) for side in shape)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, dims)))


def graph(nodes: Sequence[bytes], tensors: Sequence[bytes], inputs: Sequence[bytes], outputs: Sequence[bytes]) -> bytes:
    numbered = [(1, nodes), (5, tensors), (11, inputs), (12, outputs)]
    return field(2, "graph") + b"".join(field(number, part) for number, parts in numbered for part in parts)


def model(graph: bytes, *more: bytes, domains: Sequence[str] = ("",)) -> bytes:
    opsets = b"".join(field(8, field(1, domain) + field(2, 17 if not domain else 1)) for domain in domains)
    return field(1, 8) + opsets + field(7, graph) + b"".join(more)


def classifier(
    weight: NDArray[np.float32],
    bias: NDArray[np.float32],
    batch: int | str = "n",
    size: tuple[int | str, int | str] = (16, 16),
    layout: str = "nchw",
    last: str = "",
    kind: int = FLOAT,
) -> bytes:
    """Return means over the picture, a linear layer (3, k), and `last` (Sigmoid, Softmax) where it is named."""
    shape: tuple[int | str, ...] = (batch, 3, *size) if layout == "nchw" else (batch, *size, 3)
    nodes, at = [], "x"
    if kind != FLOAT:
        nodes.append(node("Cast", ["x"], ["cast"], integer("to", FLOAT)))
        at = "cast"
    axes = (2, 3) if layout == "nchw" else (1, 2)
    nodes.append(node("ReduceMean", [at], ["means"], integers("axes", *axes), integer("keepdims", 0)))
    nodes.append(node("Gemm", ["means", "weight", "bias"], ["y" if not last else "logits"]))
    if last:
        nodes.append(node(last, ["logits"], ["y"]))
    tensors = [tensor("weight", weight), tensor("bias", bias)]
    return model(graph(nodes, tensors, [value("x", kind, shape)], [value("y", FLOAT, (batch, len(bias)))]))


def noise_classifier(side: int = 96) -> bytes:
    """Return the classifier of docs/how-to/onnx-detector: how much neighbours differ, as two probabilities.

    A second difference along rows and columns, its absolute value averaged, times 20 less 1 for `generated`.
    """
    kernel = np.zeros((1, 3, 3, 3), np.float32)
    kernel[0, :, 1, :] += [-1 / 3, 2 / 3, -1 / 3]
    kernel[0, :, :, 1] += [-1 / 3, 2 / 3, -1 / 3]
    nodes = [
        node("Conv", ["pixels", "kernel"], ["differences"]),
        node("Abs", ["differences"], ["sizes"]),
        node("ReduceMean", ["sizes"], ["mean"], integers("axes", 2, 3), integer("keepdims", 0)),
        node("Gemm", ["mean", "weight", "bias"], ["logits"]),
        node("Softmax", ["logits"], ["probabilities"]),
    ]
    numbers = {
        "kernel": kernel,
        "weight": np.array([[-20.0, 20.0]], np.float32),
        "bias": np.array([1.0, -1.0], np.float32),
    }
    tensors = [tensor(name, array) for name, array in numbers.items()]
    shapes = value("pixels", FLOAT, ("n", 3, side, side)), value("probabilities", FLOAT, ("n", 2))
    return model(graph(nodes, tensors, shapes[:1], shapes[1:]))
