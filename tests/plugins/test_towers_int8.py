"""CLIP's image tower: against NumPy in float64, out of a small ONNX file, and against stored outputs of PyTorch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from d2f_towers.records import RECORDS
from d2f_towers.towers import TOWERS, read_tower, tokens_of
from numpy.typing import NDArray

from d2f import D2FError, Weights, WeightsMissing
from d2f.weights.sources import located
from tests.onnx_writer import field, model, node, tensor

GOLDEN = Path(__file__).with_name("golden") / "clip_tokens.json"
WIDTH, HEADS, HIDDEN = 768, 12, 3072
CLIP = TOWERS["clip-vit-b16"]
RANDOM = np.random.default_rng(8)

fetched = pytest.mark.skipif(located(RECORDS[0]) is None, reason="d2f weights pull clip-vit-b16")


def int8(*shape: int) -> NDArray[np.int8]:
    return RANDOM.integers(-127, 128, shape).astype(np.int8)


def floats(*shape: int) -> NDArray[np.float32]:
    return RANDOM.normal(0, 0.1, shape).astype(np.float32)


PRODUCTS = {
    "q": (WIDTH, WIDTH),
    "k": (WIDTH, WIDTH),
    "v": (WIDTH, WIDTH),
    "out": (WIDTH, WIDTH),
    "fc1": (WIDTH, HIDDEN),
    "fc2": (HIDDEN, WIDTH),
}
ROOT = "vision_model.encoder.layers.0."


class Drawn:
    """A tower of one block with drawn weights: as an ONNX file's content, and for NumPy."""

    def __init__(self) -> None:
        self.int8 = {name: int8(*shape) for name, shape in PRODUCTS.items()}
        self.scale = {name: np.abs(floats(shape[1])) * 0.004 for name, shape in PRODUCTS.items()}
        names = {"q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "out": "self_attn.out_proj"}
        names |= {"fc1": "mlp.fc1", "fc2": "mlp.fc2"}
        self.floats = {f"{ROOT}{names[name]}.bias": floats(shape[1]) for name, shape in PRODUCTS.items()}
        for norm in (f"{ROOT}layer_norm1", f"{ROOT}layer_norm2", "vision_model.pre_layrnorm"):
            self.floats |= {f"{norm}.weight": 1 + floats(WIDTH), f"{norm}.bias": floats(WIDTH)}
        self.floats["vision_model.embeddings.class_embedding"] = floats(WIDTH)
        self.floats["vision_model.embeddings.patch_embedding.weight"] = floats(WIDTH, 3, 16, 16)
        self.floats["vision_model.embeddings.position_embedding.weight"] = floats(197, WIDTH)

    def file(self, without: str = "") -> bytes:
        tensors = [(f"{name}_quantized", array, 3) for name, array in self.int8.items()]
        tensors += [(f"{name}_scale", array, 1) for name, array in self.scale.items()]
        tensors += [(name, array, 1) for name, array in self.floats.items() if name != without]
        parts = [field(5, tensor(name, array.shape, kind, field(9, array.tobytes()))) for name, array, kind in tensors]
        parts += [field(1, node("MatMulInteger", "x", f"{name}_quantized")) for name in PRODUCTS]
        return model(*parts)

    def weight(self, name: str) -> NDArray[np.float64]:
        return self.int8[name].astype(np.float64) * self.scale[name].astype(np.float64)

    def bias(self, name: str) -> NDArray[np.float64]:
        return self.floats[f"{ROOT}{name}.bias"].astype(np.float64)

    def norm(self, x: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        centred = x - x.mean(-1, keepdims=True)
        deviation = np.sqrt(np.square(centred).mean(-1, keepdims=True) + 1e-5)
        return centred / deviation * self.floats[f"{name}.weight"] + self.floats[f"{name}.bias"]

    def token(self, picture: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The class token after the block, by the formulas of the paper, patch by patch and head by head."""
        x = (picture / 255.0 - np.array(CLIP.framing.mean)) / np.array(CLIP.framing.deviation)
        kernel = self.floats["vision_model.embeddings.patch_embedding.weight"].astype(np.float64)
        rows = [self.floats["vision_model.embeddings.class_embedding"].astype(np.float64)]
        for top in range(0, 224, 16):
            for left in range(0, 224, 16):
                patch = x[top : top + 16, left : left + 16]
                rows.append(np.einsum("ochw,hwc->o", kernel, patch))
        x = np.stack(rows) + self.floats["vision_model.embeddings.position_embedding.weight"]
        x = self.norm(x, "vision_model.pre_layrnorm")
        inner = self.norm(x, f"{ROOT}layer_norm1")
        q, k, v = (inner @ self.weight(name) + self.bias(f"self_attn.{name}_proj") for name in "qkv")
        mixed = np.empty_like(q)
        for head in range(HEADS):
            part = slice(head * 64, head * 64 + 64)
            logits = q[:, part] @ k[:, part].T / 8.0
            share = np.exp(logits - logits.max(-1, keepdims=True))
            mixed[:, part] = share / share.sum(-1, keepdims=True) @ v[:, part]
        x = x + mixed @ self.weight("out") + self.bias("self_attn.out_proj")
        inner = self.norm(x, f"{ROOT}layer_norm2") @ self.weight("fc1") + self.bias("mlp.fc1")
        inner = inner / (1 + np.exp(-1.702 * inner))
        return (x + inner @ self.weight("fc2") + self.bias("mlp.fc2"))[0]


def record(path: Path, data: bytes) -> Weights:
    path.write_bytes(data)
    return Weights("drawn", hashlib.sha256(data).hexdigest(), "MIT", (str(path),))


def of_depth(depth: int) -> Any:
    return replace(CLIP, shape=replace(CLIP.shape, depth=depth))


def test_one_block_is_numpys_in_double_precision(tmp_path: Path) -> None:
    drawn = Drawn()
    network = read_tower(record(tmp_path / "tower.onnx", drawn.file()), of_depth(1))
    pictures = RANDOM.integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    found = tokens_of(network, (1,))(pictures)
    expected = np.stack([drawn.token(picture) for picture in pictures])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("missing", "text"),
    [
        ("vision_model.pre_layrnorm.bias", "pre_layrnorm.bias"),
        ("vision_model.encoder.layers.0.mlp.fc1.bias", "fc1.bias"),
    ],
)
def test_a_file_of_another_network_is_refused(tmp_path: Path, missing: str, text: str) -> None:
    with pytest.raises(D2FError, match=text) as caught:
        read_tower(record(tmp_path / "tower.onnx", Drawn().file(without=missing)), of_depth(1))
    assert caught.value.problems[0].code == "D2F504"


def test_a_file_with_fewer_blocks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(D2FError) as caught:
        read_tower(record(tmp_path / "tower.onnx", Drawn().file()), of_depth(2))
    assert caught.value.problems[0].code == "D2F504"


def test_without_the_file_the_command_that_fetches_it_is_said(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("D2F_CACHE", str(tmp_path))
    with pytest.raises(WeightsMissing, match="d2f weights pull clip-vit-b16"):
        read_tower(RECORDS[0], CLIP)


def chessboard() -> NDArray[np.uint8]:
    """A picture anybody can make again: squares of 28 pixels on a slope of each colour."""
    rows, columns = np.mgrid[0:224, 0:224]
    squares = (rows // 28 + columns // 28) % 2 * 60
    return np.stack([rows // 2 + squares, columns // 2 + squares, (rows + columns) // 4 + squares], -1).astype(np.uint8)


@fetched
def test_the_fetched_tower_gives_what_pytorch_gave() -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    network = read_tower(RECORDS[0], CLIP)
    found = tokens_of(network, golden["blocks"])(chessboard()[None]).reshape(len(golden["blocks"]), WIDTH)
    np.testing.assert_allclose(found[:, :: golden["step"]], golden["tokens"], atol=1e-4)
