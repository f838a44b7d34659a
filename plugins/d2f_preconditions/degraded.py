"""Traces of strong recompression and of enlargement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from d2f_preconditions.sampling import profiles

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
    the third (`d2f_preconditions.sampling.Profiles`): of a picture enlarged four times both octaves are empty.
    """
    found = profiles(pixels)
    one = two = 0.0
    ratios = []
    for axis, starts in ((1, found.lefts), (0, found.tops)):
        near, far = found.steps[1, axis], found.steps[2, axis]
        steps, count = np.zeros(BLOCK), np.zeros(BLOCK)
        for start, means in zip(starts, near, strict=True):
            place = (start + np.arange(len(means))) % BLOCK
            steps += np.bincount(place, weights=means, minlength=BLOCK)
            count += np.bincount(place, minlength=BLOCK)
        ratios.append(_grid_ratio(steps, count))
        if far.size:
            one, two = one + float(near.mean()), two + float(far.mean())
    detail = found.octaves.sum(axis=0)
    return {
        "blocks": float(np.prod(ratios) ** 0.5),
        "near": one / two if two else 1.0,
        "coarse": float((detail[1] + 0.1) / (detail[2] + 0.1)),
    }


def _grid_ratio(steps: NDArray[np.float64], count: NDArray[np.float64]) -> float:
    if not count.all():
        return 1.0
    means = steps / count
    top = float(means.max())
    return float((top + 1) / ((means.sum() - top) / (BLOCK - 1) + 1))
