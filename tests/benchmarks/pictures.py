"""What benchmarks look at: pictures that take as long as real ones."""

from __future__ import annotations

import numpy as np

SIDE = 512


def picture(seed: int) -> np.ndarray:
    """Return smooth shapes under noise, uint8 (512, 512, 3)."""
    random = np.random.default_rng(seed)
    coarse = random.normal(128, 50, (16, 16, 3)).repeat(SIDE // 16, axis=0).repeat(SIDE // 16, axis=1)
    return np.clip(coarse + random.normal(0, 6, coarse.shape), 0, 255).astype(np.uint8)
