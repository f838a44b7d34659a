"""Tiny seeded towers of every architecture, as files under their publishers' layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from d2f_towers.shared import shared_tower
from d2f_towers.towers import TOWERS, tiny

from d2f.models import ViT, arrays_of
from d2f.weights import write_weights


def tiny_tower(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, seed: int = 0) -> Path:
    """Make a tower tiny for the rest of a test, and return a file of its weights."""
    monkeypatch.setitem(TOWERS, name, tiny(TOWERS[name]))  # type: ignore[arg-type]
    shared_tower.cache_clear()
    path = folder / f"{name}.safetensors"
    write_weights(path, seeded_arrays(name, seed))
    return path


def seeded_arrays(name: str, seed: int = 0) -> dict[str, Any]:
    """Return drawn weights in d2f's names, which every layout lets through, with patches cut as a convolution's."""
    random, shape = np.random.default_rng(seed), TOWERS[name].shape
    arrays = {
        key: ("norm" in key and key.endswith("weight")) + random.normal(0, 0.3, array.shape).astype(np.float32)
        for key, array in sorted(arrays_of(ViT(shape)).items())
    }
    patches = arrays["patches.weight"].reshape(shape.width, shape.patch, shape.patch, 3)
    return {**arrays, "patches.weight": np.ascontiguousarray(patches.transpose(0, 3, 1, 2))}
