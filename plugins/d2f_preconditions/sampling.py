"""Where the checks look: windows at the picture's own scale, and a coarse grid of its pixels. Deterministic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from d2f import Pixels

SIDE, ACROSS = 144, 3
"""Side of a window in pixels; windows in each direction, at most."""


def windows(pixels: Pixels) -> Iterator[tuple[int, int, Pixels]]:
    """Yield top, left and view of at most 9 windows of 144x144, spread evenly; one that is smaller where a side is."""
    for top in _starts(pixels.shape[0]):
        for left in _starts(pixels.shape[1]):
            yield top, left, pixels[top : top + SIDE, left : left + SIDE]


def _starts(length: int) -> list[int]:
    count = min(ACROSS, -(-length // SIDE))
    if length <= SIDE:
        return [0]
    return [at * (length - SIDE) // (count - 1) for at in range(count)]


def sampled(pixels: Pixels, longest: int) -> NDArray[np.int16]:
    """Return every k-th pixel in both directions, k such that the longest side is about `longest`, at least 1."""
    step = max(1, round(max(pixels.shape[:2]) / longest))
    return pixels[step // 2 :: step, step // 2 :: step].astype(np.int16)


def luma(pixels: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return the luma of ITU-R BT.601, float32 0..255, shape (height, width)."""
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    values: NDArray[np.float32] = pixels.astype(np.float32) @ weights
    return values


def share(mask: NDArray[np.bool_]) -> float:
    """Return the share of true values, 0 of none."""
    return float(np.count_nonzero(mask) / mask.size) if mask.size else 0.0


def octave_detail(plane: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean absolute deviation from means of 2x2 pixels, of the plane halved 0 to 3 times, shape (4,)."""
    found = np.zeros(4)
    for octave in range(4):
        height, width = plane.shape[0] // 2 * 2, plane.shape[1] // 2 * 2
        if not height or not width:
            break
        corners = [plane[down:height:2, across:width:2] for down in (0, 1) for across in (0, 1)]
        plane = sum(corners[1:], corners[0]) / np.float32(4)
        found[octave] = np.mean([np.abs(corner - plane).mean() for corner in corners])
    return found
