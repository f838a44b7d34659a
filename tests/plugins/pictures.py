"""Pictures that the tests of preprocessors work on."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

SIZES = [(1, 1), (1, 9), (9, 1), (2, 3), (8, 8), (17, 33), (64, 48)]
"""(height, width), from a single pixel up, beyond every block and window."""

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee")
"""Colour photographs in scikit-image's wheel."""


@cache
def photograph(name: str = "astronaut") -> Pixels:
    """Return a photograph, uint8 (height, width, 3), not to be written to."""
    from skimage import data

    pixels: Pixels = np.ascontiguousarray(getattr(data, name)())
    pixels.setflags(write=False)
    return pixels


def noise_picture(height: int, width: int, seed: int = 0) -> Pixels:
    """Return independent uniform levels, uint8 (height, width, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def flat_picture(height: int, width: int, level: int = 90) -> Pixels:
    """Return one level everywhere, uint8 (height, width, 3)."""
    return np.full((height, width, 3), level, np.uint8)


def stage(name: str, **options: Any) -> Any:
    """Return a preprocessor, built as a chain file would have it built."""
    from d2f.plugins.build import build
    from d2f.plugins.catalog import Catalog

    return build(Catalog.discover(), "preprocessor", name, options)


def half_even(values: NDArray[Any]) -> Pixels:
    """Return real levels rounded half to even and clipped."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def distance_to_half(values: NDArray[Any]) -> NDArray[Any]:
    """Return how far each value lies from the nearest place where rounding jumps."""
    return np.abs(np.asarray(values) - np.floor(values) - 0.5)
