"""Marginal and joint statistics of wavelet subbands, over scales, orientations and colours.

A *stack* holds subbands of one scale, shape (bands, height, width), float32. Its bands are, in turn, the
horizontal, vertical and diagonal detail of each plane: three for luma alone, nine with colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from d2f_noise_statistics.planes import Plane, halved
from d2f_noise_statistics.sums import mean, mean_product, shifted

_TINY = np.float32(1e-3)


def details(planes: Sequence[Plane]) -> NDArray[np.float32]:
    """Return the stack of undecimated Haar details of planes of one shape; a row and a column are lost."""
    height, width = planes[0].shape
    stack = np.empty((3 * len(planes), height - 1, width - 1), dtype=np.float32)
    for plane, (horizontal, vertical, diagonal) in zip(
        planes, stack.reshape(-1, 3, height - 1, width - 1), strict=True
    ):
        half = plane * np.float32(0.5)
        total, change = half[:-1] + half[1:], half[:-1] - half[1:]
        np.subtract(total[:, :-1], total[:, 1:], out=horizontal)
        np.add(change[:, :-1], change[:, 1:], out=vertical)
        np.subtract(change[:, :-1], change[:, 1:], out=diagonal)
    return stack


def statistics(stack: NDArray[np.float32], magnitudes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return marginals of each band and correlations between bands and between neighbours.

    Marginals: shape E|x| / sqrt(E x²) (sqrt(2/pi) for Gaussian noise) and log kurtosis. Variances are left
    out: they follow contrast, so content, and models without them do better on sources they have not seen.
    Moments of wavelet coefficients tell photographs from computed pictures (Lyu and Farid 2005,
    doi:10.1109/TSP.2004.839896). Correlations: of values between the colours of one orientation; of
    magnitudes between any two bands, and with the second neighbour down and to the right. Large
    coefficients gather in a photograph (Buccigrossi and Simoncelli 1999, doi:10.1109/83.806616;
    Portilla and Simoncelli 2000, doi:10.1023/A:1026553619983), and colours disagree in generated
    pictures (Li, Li, Tan and Huang 2020, arXiv:1808.07276).
    """
    power = np.square(stack)
    second, average = mean(power) + _TINY, mean(magnitudes)
    fourth = mean_product(power, power) + _TINY * _TINY
    found = [(average + _TINY) / np.sqrt(second), np.log(fourth / (second * second))]
    spread = np.maximum(second - average * average, _TINY)
    found += [shifted(magnitudes, *shift, average, spread) for shift in ((0, 2), (2, 0))]
    bands = len(stack)
    for first in range(bands):
        others = slice(first + 1, bands)
        product = mean_product(magnitudes[first], magnitudes[others]) - average[first] * average[others]
        found.append(product / np.sqrt(spread[first] * spread[others]))
        alike = slice(first + 3, bands, 3)
        found.append(mean_product(stack[first], stack[alike]) / np.sqrt(second[first] * second[alike]))
    return np.concatenate(found).astype(np.float64)


def parents(finer: NDArray[np.float32], coarser: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the correlation of each band's magnitude with the same place one scale up (see `statistics`)."""
    found = []
    for child, parent in zip(finer, coarser, strict=True):
        # A parent stands for 2x2 children; both stacks lack their last row and column.
        below = halved(child[: child.shape[0] // 2 * 2, : child.shape[1] // 2 * 2])
        above = parent[: below.shape[0], : below.shape[1]]
        below, above = below - mean(below), above - mean(above)
        spread = np.sqrt(mean_product(below, below) * mean_product(above, above))
        found.append(mean_product(below, above) / (spread + _TINY))
    return np.array(found, dtype=np.float64)


def over_scales(luma: Sequence[Plane], blue: Sequence[Plane], red: Sequence[Plane]) -> NDArray[np.float64]:
    """Return `statistics` and `parents` over the scales: luma alone at the finest, with colour above.

    The finest scale of colour is left out: 4:2:0 subsampling has taken it from nearly every picture.
    """
    stacks = [details([luma[0]])]
    stacks += [details(planes) for planes in zip(luma[1:], blue[1:], red[1:], strict=True)]
    magnitudes = [np.abs(stack) for stack in stacks]
    found = [statistics(stack, magnitude) for stack, magnitude in zip(stacks, magnitudes, strict=True)]
    for finer, coarser in pairwise(magnitudes):
        found.append(parents(finer, coarser[: len(finer)]))
    return np.concatenate(found)
