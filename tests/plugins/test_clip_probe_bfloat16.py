"""The tower in bfloat16 says what the tower in float32 says: `pytest -m torch`."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from d2f_clip_probe.bfloat16 import Bfloat16Tower
from d2f_clip_probe.options import DetectorOptions, Precision
from d2f_clip_probe.stage import TOWERS
from d2f_clip_probe.tokens import TokenMaker, _tower
from d2f_clip_probe.tower import WIDTH, Tower
from d2f_clip_probe.tower_file import read_tower
from mlx.utils import tree_map

from d2f import D2FError
from d2f.weights.sources import located
from tests.plugins.test_clip_probe_tower import chessboard

fetched = pytest.mark.skipif(located(TOWERS[0]) is None, reason="d2f weights pull clip-vit-b16")


def cosines(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    found, expected = found.reshape(-1, WIDTH), expected.reshape(-1, WIDTH)
    return (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)


@pytest.mark.torch
def test_drawn_weights_give_the_same_tokens() -> None:
    mx.random.seed(3)
    tower = Tower([1, 2])
    tower.update(tree_map(lambda array: array + 0.02 * mx.random.normal(array.shape), tower.parameters()))
    pictures = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    found = Bfloat16Tower(tower)(pictures)
    assert found.dtype == np.float32
    assert cosines(found, np.array(tower(mx.array(pictures)))).min() > 0.9995


@pytest.mark.torch
@fetched
def test_the_fetched_weights_give_the_same_tokens() -> None:
    tower = read_tower(TOWERS[0], [6, 11])
    pictures = np.stack([chessboard(), chessboard()[::-1]])
    found = Bfloat16Tower(tower)(pictures)
    assert cosines(found, np.array(tower(mx.array(pictures)))).min() > 0.9995
    # A picture's tokens do not depend on the others.
    assert np.array_equal(found[1:], Bfloat16Tower(tower)(pictures[1:]))


def test_without_pytorch_it_is_refused_with_the_next_step(monkeypatch: Any) -> None:
    monkeypatch.setattr("d2f_clip_probe.bfloat16.find_spec", lambda name: None)
    with pytest.raises(D2FError, match="needs PyTorch") as caught:
        Bfloat16Tower(Tower([1]))
    assert caught.value.problems[0].code == "D2F206"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_precision_is_the_options_and_never_the_machines(monkeypatch: Any, precision: Precision) -> None:
    """One digest, one score: what the processor multiplies and what is installed change nothing."""
    seen = []
    monkeypatch.setattr("d2f_clip_probe.tower_file.read_tower", lambda record, blocks: Tower(blocks))
    monkeypatch.setattr("d2f_clip_probe.bfloat16.Bfloat16Tower", lambda tower: seen.append("bfloat16") or tower)
    _tower.cache_clear()
    TokenMaker(TOWERS[0], [1], ["whole"], precision)
    _tower.cache_clear()
    assert seen == (["bfloat16"] if precision == "bfloat16" else [])
    keys = {DetectorOptions.model_validate({"precision": each}).model_dump_json() for each in ("float32", "bfloat16")}
    assert len(keys) == 2
