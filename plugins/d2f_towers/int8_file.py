"""CLIP ViT-B/16 out of the ONNX file that `d2f weights pull clip-vit-b16` fetches.

The file holds the tower quantised to eight bits. Its 73 integer products, in order, are q, k, v, out, fc1 and fc2 of
each block and the projection, which is not used here; each weight is int8 of shape (in, out), symmetric, with one
scale an output channel. Everything else stands in it as float32 under Hugging Face's names. Weights are read back to
float32, and activations stay float32: the file's own activations, quantised per tensor, lose far more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2f import D2FError, Exit, Weights
from d2f.models import ViTShape
from d2f.weights import OnnxFile, checked_bytes, read_onnx

PRODUCT = "MatMulInteger"
QUANTISED, SCALE = "_quantized", "_scale"
IN_BLOCK = ("q", "k", "v", "out", "fc1", "fc2")
ROOT = "vision_model."
PARTS = {"out": "self_attn.out_proj", "fc1": "mlp.fc1", "fc2": "mlp.fc2"}


def int8_arrays(record: Weights, shape: ViTShape) -> dict[str, NDArray[Any]]:
    """Return the weights under the names of `d2f.models.ViT`; the last norm, whose output is not used, is left plain.

    Raises
    ------
    WeightsMissing
        D2F502: they are not on this machine.
    D2FError
        D2F503: the file has another digest. D2F504, D2F505: it holds something else.
    """
    held = read_onnx(checked_bytes(record), f"weights '{record.name}'")
    try:
        return _arrays(held, shape)
    except (KeyError, IndexError, ValueError) as error:
        message = f"weights '{record.name}' are not CLIP's image tower as expected: {error}"
        raise D2FError.of("D2F504", message, exit=Exit.PLUGIN) from error


def _arrays(held: OnnxFile, shape: ViTShape) -> dict[str, NDArray[Any]]:
    tensors, width = held.tensors, shape.width
    products = [node.inputs[1] for node in held.nodes if node.operator == PRODUCT]
    patches = tensors[f"{ROOT}embeddings.patch_embedding.weight"]
    made = {
        # From (out, channel, row, column) to the order in which the tower cuts its patches.
        "patches.weight": patches.transpose(0, 2, 3, 1).reshape(width, -1),
        "patches.bias": np.zeros(width, np.float32),
        "prefix": tensors[f"{ROOT}embeddings.class_embedding"].reshape(1, width),
        "places": tensors[f"{ROOT}embeddings.position_embedding.weight"],
        # The file's own spelling.
        "norm_before.weight": tensors[f"{ROOT}pre_layrnorm.weight"],
        "norm_before.bias": tensors[f"{ROOT}pre_layrnorm.bias"],
        "norm.weight": np.ones(width, np.float32),
        "norm.bias": np.zeros(width, np.float32),
    }
    for number in range(shape.depth):
        first = number * len(IN_BLOCK)
        six = dict(zip(IN_BLOCK, products[first : first + len(IN_BLOCK)], strict=True))
        block = _block(tensors, six, f"{ROOT}encoder.layers.{number}.")
        made |= {f"blocks.{number}.{name}": array for name, array in block.items()}
    return made


def _block(tensors: Mapping[str, NDArray[Any]], six: Mapping[str, str], root: str) -> dict[str, NDArray[Any]]:
    weights = {name: _weight(tensors, six[name]) for name in IN_BLOCK}
    made = {
        "qkv.weight": np.concatenate([weights[name] for name in "qkv"]),
        "qkv.bias": np.concatenate([tensors[f"{root}self_attn.{name}_proj.bias"] for name in "qkv"]),
    }
    for name, place in PARTS.items():
        made |= {f"{name}.weight": weights[name], f"{name}.bias": tensors[f"{root}{place}.bias"]}
    for number in (1, 2):
        made |= {f"norm{number}.{kind}": tensors[f"{root}layer_norm{number}.{kind}"] for kind in ("weight", "bias")}
    return made


def _weight(tensors: Mapping[str, NDArray[Any]], name: str) -> NDArray[np.float32]:
    """Return a weight as a linear layer holds it, (out, in), float32."""
    scale = tensors[name.removesuffix(QUANTISED) + SCALE].reshape(1, -1)
    return np.ascontiguousarray((tensors[name].astype(np.float32) * scale).T)
