"""Towers in bfloat16 say what they say in float32: `pytest -m torch`."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from d2f_clip_probe.options import DetectorOptions
from d2f_towers import bfloat16
from d2f_towers.bfloat16 import Bfloat16Tower
from d2f_towers.records import RECORDS
from d2f_towers.shared import Precision, SharedTower
from d2f_towers.towers import TOWERS, Tower, read_tower, tiny, tokens_of
from mlx.utils import tree_map

from d2f import D2FError
from d2f.models import Normalisation, ViT
from d2f.weights.sources import located
from tests.plugins.test_towers_int8 import chessboard

fetched = pytest.mark.skipif(located(RECORDS[0]) is None, reason="d2f weights pull clip-vit-b16")


def cosines(found: Any, expected: Any, width: int) -> Any:
    found, expected = found.reshape(-1, width), expected.reshape(-1, width)
    return (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)


def drawn(tower: Tower) -> ViT:
    mx.random.seed(3)
    network = ViT(tower.shape, Normalisation(tower.framing.mean, tower.framing.deviation))
    network.update(tree_map(lambda array: array + 0.2 * mx.random.normal(array.shape), network.parameters()))
    return network


@pytest.mark.torch
@pytest.mark.parametrize("name", TOWERS)
def test_every_architecture_gives_the_same_tokens(name: str) -> None:
    network = drawn(tiny(TOWERS[name]))
    size = network.shape.size
    pictures = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    found = Bfloat16Tower(network)(pictures, (1, 2))
    assert found.dtype == np.float32
    assert cosines(found, tokens_of(network, (1, 2))(pictures), network.shape.width).min() > 0.999


@pytest.mark.torch
@fetched
def test_the_fetched_weights_give_the_same_tokens() -> None:
    network = read_tower(RECORDS[0], TOWERS["clip-vit-b16"])
    pictures = np.stack([chessboard(), chessboard()[::-1]])
    found = Bfloat16Tower(network)(pictures, (6, 11))
    assert cosines(found, tokens_of(network, (6, 11))(pictures), 768).min() > 0.9995
    # A picture's tokens do not depend on the others, nor on what else is asked for.
    assert np.array_equal(found[1:, 768:], Bfloat16Tower(network)(pictures[1:], (11,)))


def test_without_pytorch_it_is_refused_with_the_next_step(monkeypatch: Any) -> None:
    monkeypatch.setattr(bfloat16, "find_spec", lambda name: None)
    with pytest.raises(D2FError, match="needs PyTorch") as caught:
        Bfloat16Tower(drawn(tiny(TOWERS["clip-vit-b16"])))
    assert caught.value.problems[0].code == "D2F206"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_precision_is_the_options_and_never_the_machines(monkeypatch: Any, precision: Precision) -> None:
    """One digest, one score: what the processor multiplies and what is installed change nothing."""
    seen = []
    monkeypatch.setattr("d2f_towers.shared.read_tower", lambda record, tower: drawn(tiny(tower)))
    monkeypatch.setattr(bfloat16, "Bfloat16Tower", lambda network: seen.append("bfloat16"))
    SharedTower(RECORDS[0], "clip-vit-b16", precision)
    assert seen == (["bfloat16"] if precision == "bfloat16" else [])
    keys = {DetectorOptions.model_validate({"precision": each}).model_dump_json() for each in ("float32", "bfloat16")}
    assert len(keys) == 2
