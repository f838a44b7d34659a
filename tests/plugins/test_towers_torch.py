"""Every tower against transformers or timm on seeded weights, after every block; needs PyTorch."""

from __future__ import annotations

from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from d2f_towers.towers import TOWERS, Tower, tiny

from d2f.models import ViT, load_arrays, vit_arrays
from tests.plugins import tower_references as references

pytestmark = pytest.mark.torch


def compared(name: str, tower: Tower, folder: Path) -> None:
    pytest.importorskip("torch")
    references.without_torchvision()
    pytest.importorskip("timm" if tower.layout == "timm" else "transformers")
    module, state = references.reference(name, tower, folder)
    network = ViT(tower.shape)
    load_arrays(network, vit_arrays(state, tower.layout, tower.shape), name)
    x = np.random.default_rng(27).standard_normal((1, tower.shape.size, tower.shape.size, 3)).astype(np.float32)
    expected, output = references.outputs(module, x)
    assert len(expected) == tower.shape.depth
    found = network.after(mx.array(x), range(1, tower.shape.depth + 1))
    for number, (ours, theirs) in enumerate(zip(found, expected, strict=True), start=1):
        scale = max(1.0, float(np.abs(theirs).max()))
        assert np.abs(np.array(ours) - theirs).max() < 1e-4 * scale, f"block {number}"
    pooled = np.array(network(mx.array(x)))
    assert np.abs(pooled - output).max() < 1e-4 * max(1.0, float(np.abs(output).max()))
    assert np.abs(output).max() > 0.01


@pytest.mark.parametrize("name", TOWERS)
def test_a_small_one_of_each_architecture(name: str, tmp_path: Path) -> None:
    compared(name, tiny(TOWERS[name]), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", TOWERS)
def test_the_whole_tower(name: str, tmp_path: Path) -> None:
    compared(name, TOWERS[name], tmp_path)
