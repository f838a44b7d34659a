"""Traces of strong recompression, of enlargement, of a palette, and of a print or a display under the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from d2f_preconditions.sampling import SIDE, grid, profiles

if TYPE_CHECKING:
    from d2f import Pixels

BLOCK = 8
"""Side of JPEG's blocks (ITU-T T.81)."""
NEIGHBOURHOOD = 15
"""Frequencies across with which a peak of the spectrum is compared."""
COARSEST = 14
"""Cycles a window below which structure is the picture's own."""
PALETTE = 256
"""Colours that an 8-bit palette holds."""
GREY = 8
"""Levels by which the channels of a grey picture may differ: WebP's do by a few."""
ANY = 1 << 24
"""Colours of 8 bits a channel."""
FAINT = 100.0
"""Power, of levels squared, at which noise and structure are not told apart."""


def degraded_statistics(pixels: Pixels) -> dict[str, float]:
    """Return the block grid's ratio, the ratio of near to far differences, and that of the next octaves.

    All are of the luma in the windows. `blocks`: s(k) is the mean absolute difference of neighbours whose place in the
    picture is k modulo 8; ``(max s + 1) / (mean of the other seven + 1)``, the geometric mean of both directions, so
    that steps of less than a grey level do not count (the measure of Z. Wang, A. C. Bovik and B. L. Evans, 2000,
    doi:10.1109/ICIP.2000.899622, in the spatial domain). `near`: the mean absolute difference of neighbours over that
    of pixels two apart, 0.5 of a picture without fine detail. `coarse`: the detail in the second octave over that in
    the third (`d2f_preconditions.sampling.Profiles`): of a picture enlarged four times both octaves are empty.

    `colours`: distinct ones in a sample. `pattern`: see `pattern_strength`.
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
        "colours": float(_colours(pixels)),
        "pattern": pattern_strength(found.planes),
    }


def _colours(pixels: Pixels) -> int:
    """Return the distinct colours of a coarse sample, and where a palette could hold those, of a fine one."""
    count = 0
    for longest in (170, 2048):
        levels = grid(pixels, longest).astype(np.uint32)
        if np.ptp(levels, axis=0).max() <= GREY:
            return ANY  # grey has at most 256 levels, and no palette
        red, green, blue = levels
        count = len(np.unique(red << 16 | green << 8 | blue))
        if count > PALETTE:
            break
    return count


def pattern_strength(planes: NDArray[np.float32]) -> float:
    """Return how far one fine regular pattern stands out in the windows' luma, shape (n, 144, 144): a print's screen.

    The logarithm of the power spectrum (Hann window), averaged over the windows, less its mean over 15x15 frequencies:
    the largest value at frequencies of at least 14 cycles a window, in nepers; 0 of smaller windows. The grids of 8 and
    of 16 pixels and what lies along the axes are left out: codecs, generators and scaling have them.
    """
    if planes.shape[1:] != (SIDE, SIDE):
        return 0.0
    hann = np.hanning(SIDE).astype(np.float32)
    power = np.abs(np.fft.rfft2((planes - planes.mean(axis=(1, 2), keepdims=True)) * np.outer(hann, hann))) ** 2
    mean = np.fft.fftshift(np.log(power + FAINT).mean(axis=0), 0)
    down, across = np.abs(np.arange(SIDE) - SIDE // 2)[:, None], np.arange(SIDE // 2 + 1)[None]
    step = SIDE // (2 * BLOCK)
    on_grid = (np.minimum(down % step, -down % step) <= 1) & (np.minimum(across % step, -across % step) <= 1)
    judged = (np.hypot(down, across) >= COARSEST) & ~on_grid & (down > 2) & (across > 2)
    return float((mean - _around(mean))[judged].max())


def _around(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the mean of the neighbourhood of each value."""
    half = NEIGHBOURHOOD // 2
    sums = np.pad(values.astype(np.float64), half, mode="reflect")
    for axis in (0, 1):
        total = np.cumsum(np.insert(sums, 0, 0, axis=axis), axis=axis)
        sums = np.take(total, range(NEIGHBOURHOOD, total.shape[axis]), axis=axis) - np.take(
            total, range(total.shape[axis] - NEIGHBOURHOOD), axis=axis
        )
    return sums / NEIGHBOURHOOD**2


def _grid_ratio(steps: NDArray[np.float64], count: NDArray[np.float64]) -> float:
    if not count.all():
        return 1.0
    means = steps / count
    top = float(means.max())
    return float((top + 1) / ((means.sum() - top) / (BLOCK - 1) + 1))
