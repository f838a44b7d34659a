"""Co-occurrences of quantised residuals: how neighbouring prediction errors keep company."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from d2f_noise_statistics.planes import Plane
from d2f_noise_statistics.sums import byte_counts, mean

TRUNCATION = 2
_BASE = 2 * TRUNCATION + 1


def _folded() -> NDArray[np.intp]:
    """Map each of the 125 triples to its class under change of sign and reversal."""
    classes: dict[tuple[int, ...], int] = {}
    fold = np.empty(_BASE**3, dtype=np.intp)
    for code in range(_BASE**3):
        triple = tuple(code // _BASE**power % _BASE - TRUNCATION for power in (2, 1, 0))
        negative = tuple(-value for value in triple)
        alike = min(triple, triple[::-1], negative, negative[::-1])
        fold[code] = classes.setdefault(alike, len(classes))
    return fold


ALONG = _folded()
"""Class of each triple of neighbours in a row: 39 classes under change of sign and direction."""


def quantised(residual: Plane, step: float | np.float32) -> NDArray[np.uint8]:
    """Return ``round(residual / step)``, truncated to -2..2, plus 2."""
    levels = residual * np.float32(1.0 / step)
    np.rint(levels, out=levels)
    np.clip(levels, -TRUNCATION, TRUNCATION, out=levels)
    levels += TRUNCATION
    return levels.astype(np.uint8)


def own_step(residual: Plane) -> np.float32:
    """Return the residual's mean magnitude, at least 0.25: a step that laundering does not outgrow."""
    return np.float32(max(mean(np.abs(residual)), np.float32(0.25)))


def histogram(first: NDArray[np.uint8], second: NDArray[np.uint8], third: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count the 125 triples of values 0..4."""
    codes = first * np.uint8(_BASE * _BASE) + second * np.uint8(_BASE) + third
    return byte_counts(codes)[: _BASE**3]


def roots(counts: NDArray[np.int64], fold: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return square roots of the classes' shares: Euclidean distance between them is Hellinger's."""
    shares: NDArray[np.float64] = np.bincount(fold, weights=counts) / max(int(counts.sum()), 1)
    return np.sqrt(shares)


def in_a_row(levels: NDArray[np.uint8], axis: int) -> NDArray[np.int64]:
    """Count triples of successive values along an axis."""
    if axis == 0:
        return histogram(levels[:-2], levels[1:-1], levels[2:])
    return histogram(levels[:, :-2], levels[:, 1:-1], levels[:, 2:])


def rich_model(luma: Plane) -> NDArray[np.float64]:
    """Return co-occurrences of four residuals of a luma plane, quantised by their own mean magnitude, 156 values.

    First differences and second differences in their own direction, second differences across it, and
    the 3x3 residual of Ker and Böhme in both directions; rows and columns are counted together. After
    the spatial rich model (Fridrich and Kodovský 2012, doi:10.1109/TIFS.2012.2190402), with triples and
    a step that follows the residual's magnitude in place of its fixed ones.
    """
    right, down = luma[:, 1:] - luma[:, :-1], luma[1:] - luma[:-1]
    bend_right, bend_down = right[:, 1:] - right[:, :-1], down[1:] - down[:-1]
    square = (bend_right[:-2] - 2 * bend_right[1:-1] + bend_right[2:]) * np.float32(0.25)
    steps = (
        max(own_step(right), own_step(down)),
        max(own_step(bend_right), own_step(bend_down)),
        own_step(square),
    )
    first = in_a_row(quantised(right, steps[0]), 1) + in_a_row(quantised(down, steps[0]), 0)
    bends = quantised(bend_right, steps[1]), quantised(bend_down, steps[1])
    second = in_a_row(bends[0], 1) + in_a_row(bends[1], 0)
    crossed = in_a_row(bends[0], 0) + in_a_row(bends[1], 1)
    squares = quantised(square, steps[2])
    both = in_a_row(squares, 0) + in_a_row(squares, 1)
    return np.concatenate([roots(counts, ALONG) for counts in (first, second, crossed, both)])


def subtractive_pixels(luma: Plane) -> NDArray[np.float64]:
    """Return co-occurrences of first differences in whole grey levels, 39 values.

    Subtractive pixel adjacency (Pevný, Bas and Fridrich 2010, doi:10.1109/TIFS.2010.2045842), as
    joint shares and not as transition probabilities.
    """
    counts = in_a_row(quantised(luma[:, 1:] - luma[:, :-1], 1.0), 1)
    return roots(counts + in_a_row(quantised(luma[1:] - luma[:-1], 1.0), 0), ALONG)
