"""ONNX files: messages put together here by the encoding's own rules, and what is refused before onnxruntime runs."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2f import D2FError
from d2f.weights import check_onnx
from d2f.weights.onnx_file import DEPTH, RANDOM, read_onnx
from tests.onnx_writer import field, model, node, tensor, varint
from tests.plugins import onnx_models as models


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


# Files that are refused before onnxruntime sees them, by name of what is refused.

WEIGHT, BIAS = np.ones((3, 1), np.float32), np.zeros(1, np.float32)
GOOD = models.classifier(WEIGHT, BIAS)


def reason_of_refusal(data: bytes) -> str:
    """Return why a file is refused."""
    with pytest.raises(D2FError, match="file is refused") as caught:
        check_onnx(data)
    return caught.value.problems[0].notes[0]


def around(*nodes: bytes, tensors: tuple[bytes, ...] = (), more: bytes = b"") -> bytes:
    return models.model(models.graph(nodes, tensors, [], []), more)


def test_a_plain_classifier_passes() -> None:
    check_onnx(GOOD)


def test_external_data_is_refused_wherever_it_stands() -> None:
    outside = models.external("secret", (3, 1), "../../etc/passwd")
    relu = models.node("Relu", ["x"], ["y"])
    inside = field(1, "value") + field(5, outside)
    function = field(1, "f") + field(10, "own") + field(7, models.node("Constant", [], ["c"], inside))
    branch = models.graph([models.node("Constant", [], ["c"], inside)], [], [], [])
    files = [
        around(relu, tensors=(outside,)),
        around(models.node("Constant", [], ["y"], inside)),
        around(models.node("If", ["x"], ["y"], models.subgraph("then_branch", branch))),
        around(relu, more=field(25, function)),
        models.model(models.graph([relu], [], [], []) + field(15, field(1, outside))),
    ]
    for data in files:
        assert reason_of_refusal(data) == "tensor 'secret' lies in another file ('../../etc/passwd')"


def test_custom_domains_are_refused_unless_the_file_defines_them() -> None:
    custom = models.node("Evil", ["x"], ["y"], domain="com.example")
    assert "operator 'Evil' is of the custom domain 'com.example'" in reason_of_refusal(around(custom))
    function = field(1, "Evil") + field(10, "com.example") + field(7, models.node("Relu", ["a"], ["b"]))
    check_onnx(around(custom, more=field(25, function)))
    check_onnx(around(models.node("FusedGelu", ["x"], ["y"], domain="com.microsoft")))


@pytest.mark.parametrize("operator", RANDOM)
def test_operators_that_draw_random_numbers_are_refused(operator: str) -> None:
    drawn = models.node(operator, ["x"], ["y"])
    branch = models.subgraph("then_branch", models.graph([drawn], [], [], []))
    for drawing in (drawn, models.node("If", ["x"], ["y"], branch)):
        assert f"operator '{operator}' draws random numbers" in reason_of_refusal(around(drawing))


def test_graphs_within_graphs_are_bounded() -> None:
    def nested(levels: int) -> bytes:
        graph = models.graph([models.node("Relu", ["x"], ["y"])], [], [], [])
        for _ in range(levels):
            graph = models.graph([models.node("If", ["x"], ["y"], models.subgraph("then_branch", graph))], [], [], [])
        return models.model(graph)

    check_onnx(nested(DEPTH - 1))
    assert "deep" in reason_of_refusal(nested(DEPTH))
    assert "deep" in reason_of_refusal(nested(400))


def test_tensors_that_grow_out_of_a_number_are_bounded() -> None:
    shape = np.array([2**14, 2**15], np.int64)
    filled = models.node("ConstantOfShape", ["shape"], ["y"])
    constant = models.node("Constant", [], ["shape"], field(1, "value") + field(5, models.tensor("", shape)))
    listed = models.node("Constant", [], ["shape"], models.integers("value_ints", 2**14, 2**15))
    for data in (
        around(filled, tensors=(models.tensor("shape", shape),)),
        around(constant, filled),
        around(listed, filled),
        around(models.node("Expand", ["x", "shape"], ["y"]), tensors=(models.tensor("shape", shape),)),
    ):
        assert "makes a tensor of 536870912 numbers" in reason_of_refusal(data)
    check_onnx(around(filled, tensors=(models.tensor("shape", shape // 64),)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04 a zip",
        b"\x80\x04\x95 a pickle",
        b"\x08\x00\x00\x00ORTM a flatbuffer",
        GOOD + GOOD,
        field(7, b""),
        b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    ],
)
def test_what_is_no_model_is_refused(data: bytes) -> None:
    assert reason_of_refusal(data)


def test_a_truncated_file_is_refused_at_every_length(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from d2f_onnx.options import OnnxOptions
    from d2f_onnx.session import Classifier

    for length in range(0, len(GOOD) - 1, 3):
        with pytest.raises(D2FError) as caught:
            Classifier(GOOD[:length], OnnxOptions(), "'cut.onnx'")
        assert caught.value.problems[0].code in ("D2F504", "D2F505")


def test_a_refused_file_says_so(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from d2f_onnx.options import OnnxOptions
    from d2f_onnx.stage import OnnxDetector

    path = tmp_path / "evil.onnx"
    path.write_bytes(around(models.node("Relu", ["x"], ["y"]), tensors=(models.external("w", (1,), "/etc/shadow"),)))
    with pytest.raises(D2FError, match=r"evil\.onnx' is refused") as caught:
        OnnxDetector(OnnxOptions(model=str(path))).load()
    problem = caught.value.problems[0]
    assert problem.code == "D2F505"
    assert problem.notes == ("tensor 'w' lies in another file ('/etc/shadow')", "nothing in it was run")
