"""Local binary patterns of luma."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from d2f_noise_statistics.planes import Plane
from d2f_noise_statistics.sums import byte_counts

_RING = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))


def _rotated() -> NDArray[np.intp]:
    """Map each of the 256 patterns to its class under rotation: 36 classes."""
    classes: dict[int, int] = {}
    turns = [[(code >> turn | code << (8 - turn)) & 255 for turn in range(8)] for code in range(256)]
    return np.array([classes.setdefault(min(each), len(classes)) for each in turns], dtype=np.intp)


ROTATED = _rotated()


def binary_patterns(luma: Plane) -> NDArray[np.float64]:
    """Return square roots of the shares of the 36 rotation-invariant patterns of eight neighbours.

    Ojala, Pietikäinen and Mäenpää 2002 (doi:10.1109/TPAMI.2002.1017623), on the square ring. A
    neighbour counts where it is at least half a grey level brighter, so that flat areas are one pattern.
    """
    height, width = luma.shape[0] - 2, luma.shape[1] - 2
    threshold = luma[1:-1, 1:-1] + np.float32(0.5)
    codes = np.zeros((height, width), dtype=np.uint8)
    for bit, (down, right) in enumerate(_RING):
        brighter = luma[down : down + height, right : right + width] >= threshold
        codes |= brighter.view(np.uint8) << np.uint8(bit)
    counts = byte_counts(codes)
    shares: NDArray[np.float64] = np.bincount(ROTATED, weights=counts) / counts.sum()
    return np.sqrt(shares)
