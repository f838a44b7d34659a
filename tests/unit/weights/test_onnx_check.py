"""ONNX files that are refused before onnxruntime sees them, by name of what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from d2f import D2FError
from d2f.weights import check_onnx
from d2f.weights.onnx_file import DEPTH, RANDOM
from tests.onnx_writer import field
from tests.plugins import onnx_models as models

WEIGHT, BIAS = np.ones((3, 1), np.float32), np.zeros(1, np.float32)
GOOD = models.classifier(WEIGHT, BIAS)


def refusal(data: bytes) -> str:
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
        assert refusal(data) == "tensor 'secret' lies in another file ('../../etc/passwd')"


def test_custom_domains_are_refused_unless_the_file_defines_them() -> None:
    custom = models.node("Evil", ["x"], ["y"], domain="com.example")
    assert "operator 'Evil' is of the custom domain 'com.example'" in refusal(around(custom))
    function = field(1, "Evil") + field(10, "com.example") + field(7, models.node("Relu", ["a"], ["b"]))
    check_onnx(around(custom, more=field(25, function)))
    check_onnx(around(models.node("FusedGelu", ["x"], ["y"], domain="com.microsoft")))


@pytest.mark.parametrize("operator", RANDOM)
def test_operators_that_draw_random_numbers_are_refused(operator: str) -> None:
    drawn = models.node(operator, ["x"], ["y"])
    branch = models.subgraph("then_branch", models.graph([drawn], [], [], []))
    for node in (drawn, models.node("If", ["x"], ["y"], branch)):
        assert f"operator '{operator}' draws random numbers" in refusal(around(node))


def test_graphs_within_graphs_are_bounded() -> None:
    def nested(levels: int) -> bytes:
        graph = models.graph([models.node("Relu", ["x"], ["y"])], [], [], [])
        for _ in range(levels):
            graph = models.graph([models.node("If", ["x"], ["y"], models.subgraph("then_branch", graph))], [], [], [])
        return models.model(graph)

    check_onnx(nested(DEPTH - 1))
    assert "deep" in refusal(nested(DEPTH))
    assert "deep" in refusal(nested(400))


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
        assert "makes a tensor of 536870912 numbers" in refusal(data)
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
    assert refusal(data)


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
