"""Traces of strong recompression and of enlargement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from d2f_preconditions.sampling import luma, octave_detail, windows

if TYPE_CHECKING:
    from d2f import Pixels

BLOCK = 8
"""Side of JPEG's blocks (ITU-T T.81)."""


def degraded_statistics(pixels: Pixels) -> dict[str, float]:
    """Return the block grid's ratio, the ratio of near to far differences, and that of the next octaves.

    All are of the luma in the windows. `blocks`: s(k) is the mean absolute difference of neighbours whose place in the
    picture is k modulo 8; ``(max s + 1) / (mean of the other seven + 1)``, the geometric mean of both directions, so
    that steps of less than a grey level do not count (the measure of Z. Wang, A. C. Bovik and B. L. Evans, 2000,
    doi:10.1109/ICIP.2000.899622, in the spatial domain). `near`: the mean absolute difference of neighbours over that
    of pixels two apart, 0.5 of a picture without fine detail. `coarse`: the detail in the second octave over that in
    the third (`d2f_preconditions.sampling.octave_detail`): of a picture enlarged four times both octaves are empty.
    """
    steps, count = np.zeros((2, BLOCK)), np.zeros((2, BLOCK))
    one = two = 0.0
    octaves = np.zeros(4)
    for top, left, window in windows(pixels):
        plane = luma(window)
        octaves += octave_detail(plane)
        for axis, (view, start) in enumerate(((plane, left), (plane.T, top))):
            near, far = _differences(view, 1), _differences(view, 2)
            place = (start + np.arange(len(near))) % BLOCK
            steps[axis] += np.bincount(place, weights=near, minlength=BLOCK)
            count[axis] += np.bincount(place, minlength=BLOCK)
            if len(far):
                one, two = one + float(near.mean()), two + float(far.mean())
    return {
        "blocks": float(np.prod([_grid_ratio(*pair) for pair in zip(steps, count, strict=True)]) ** 0.5),
        "near": one / two if two else 1.0,
        "coarse": float((octaves[1] + 0.1) / (octaves[2] + 0.1)),
    }


def _differences(plane: NDArray[np.float32], apart: int) -> NDArray[np.float64]:
    """Return the mean absolute difference of columns `apart`, shape (width - apart,)."""
    if plane.shape[1] <= apart:
        return np.zeros(0)
    means: NDArray[np.float64] = np.abs(plane[:, apart:] - plane[:, :-apart]).mean(axis=0, dtype=np.float64)
    return means


def _grid_ratio(steps: NDArray[np.float64], count: NDArray[np.float64]) -> float:
    if not count.all():
        return 1.0
    means = steps / count
    top = float(means.max())
    return float((top + 1) / ((means.sum() - top) / (BLOCK - 1) + 1))
