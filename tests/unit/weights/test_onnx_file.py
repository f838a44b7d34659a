"""ONNX files: messages put together here by the protobuf encoding's own rules, and what is wrong with some."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2f import D2FError
from d2f.weights.onnx_file import read_onnx
from tests.onnx_writer import field, model, node, tensor, varint


def with_tensor(content: bytes) -> bytes:
    return model(field(5, content))


@given(st.lists(st.floats(width=32, allow_nan=False), max_size=20))
def test_raw_data_are_little_endian_in_the_order_of_the_shape(values: list[float]) -> None:
    raw = struct.pack(f"<{len(values)}f", *values)
    held = read_onnx(with_tensor(tensor("w", (len(values), 1), 1, field(9, raw)))).tensors["w"]
    assert held.dtype == np.float32
    assert held.shape == (len(values), 1)
    assert held[:, 0].tolist() == [np.float32(value) for value in values]


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=8), st.booleans())
def test_numbers_of_any_length_and_sign_packed_or_one_by_one(values: list[int], packed: bool) -> None:
    data = field(7, b"".join(map(varint, values))) if packed else b"".join(field(7, value) for value in values)
    held = read_onnx(with_tensor(tensor("n", (len(values),), 7, data))).tensors["n"]
    assert held.dtype == np.int64
    assert held.tolist() == values


def test_bytes_halves_and_floats_in_their_own_field() -> None:
    parts = [
        tensor("bytes", (3,), 3, field(9, bytes([1, 255, 128]))),
        tensor("small", (2,), 3, field(5, varint(-3 % 2**64) + varint(7))),
        tensor("halves", (2,), 10, field(9, np.array([1.5, -2.0], "<f2").tobytes())),
        tensor("floats", (2,), 1, field(4, struct.pack("<2f", 0.25, -8.0))),
        tensor("one", (), 1, field(9, struct.pack("<f", 3.0))),
    ]
    held = read_onnx(model(*(field(5, part) for part in parts))).tensors
    assert held["bytes"].tolist() == [1, -1, -128]
    assert held["small"].tolist() == [-3, 7]
    assert held["halves"].tolist() == [1.5, -2.0]
    assert held["floats"].tolist() == [0.25, -8.0]
    assert held["one"].shape == ()
    assert held["one"] == 3.0


def test_nodes_in_order_with_what_they_take() -> None:
    held = read_onnx(model(field(1, node("MatMulInteger", "x", "w")), field(1, node("Add", "y"))))
    assert [(each.operator, each.inputs) for each in held.nodes] == [("MatMulInteger", ("x", "w")), ("Add", ("y",))]


WHOLE = with_tensor(tensor("w", (4,), 1, field(9, struct.pack("<4f", 1, 2, 3, 4))))
BROKEN = {
    "cut off": (WHOLE[:-9], "behind the end"),
    "no graph": (field(1, 8), "0 graphs"),
    "two graphs": (model() + model(), "2 graphs"),
    "a number for a message": (field(7, 1), "a number stands where"),
    "a group": (bytes([0x0B]), "is not a field's"),
    "an endless number": (b"\xff" * 12, "more than 64 bits"),
    "a wrong count": (with_tensor(tensor("w", (5,), 1, field(9, b"\0" * 16))), "has 4 numbers for shape (5,)"),
    "text": (with_tensor(tensor("t", (1,), 8, field(6, "words"))), "data type 8"),
    "elsewhere": (with_tensor(tensor("far", (1,), 1, field(14, 1))), "'far' lies in another file"),
    "a name that is no text": (with_tensor(field(8, b"\xff\xfe")), "utf-8"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_wrong_is_said(kind: str) -> None:
    data, text = BROKEN[kind]
    with pytest.raises(D2FError) as caught:
        read_onnx(data, "weights 'w'")
    assert caught.value.problems[0].code == "D2F505"
    assert text in str(caught.value)


def refusal(data: bytes) -> str:
    """The code of the error that the bytes meet; empty where they are read."""
    try:
        read_onnx(data)
    except D2FError as error:
        return error.problems[0].code
    return ""


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    assert refusal(data) in ("", "D2F505")


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_a_damaged_byte_is_read_or_refused(place: int, byte: int) -> None:
    damaged = bytearray(WHOLE)
    damaged[place] = byte
    assert refusal(bytes(damaged)) in ("", "D2F505")
