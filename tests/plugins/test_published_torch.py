"""`commfor` against timm on seeded weights, from the authors' names to the score; needs PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from d2f_published.commfor import SHAPE, WRAPPER
from d2f_published.stages import CommFor
from d2f_towers.towers import TOWERS

from d2f.weights import write_weights
from tests.plugins import tower_references as references

pytestmark = pytest.mark.torch


def test_commfor_is_timms_network(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    references.without_torchvision()
    pytest.importorskip("timm")
    tower = TOWERS["commfor-vits16"]
    assert tower.shape == SHAPE
    module, state = references.reference("commfor-vits16", tower, tmp_path)
    path = tmp_path / "theirs.safetensors"
    write_weights(path, {f"{WRAPPER}{name}": array for name, array in state.items()})
    made = CommFor(CommFor.Options(weights=str(path)))
    made.load()
    view = np.random.default_rng(1).integers(0, 256, (500, 700, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = module(torch.from_numpy(made.framed(view).transpose(2, 0, 1)[None].copy())).item()
    assert made.score([view])[0] == pytest.approx(expected, abs=1e-4, rel=1e-4)
    assert abs(expected) > 1e-3
