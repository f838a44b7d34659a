"""Minimal filtering: four neighbouring outputs of a three-tap filter from six products instead of twelve.

For taps w and inputs d the four outputs are ``A.T @ ((G @ w) * (B.T @ d))``. The matrices follow from
evaluating both as polynomials at six points, multiplying, and interpolating (Toom 1963, Cook 1966); Winograd
(1980, ISBN 0-89871-163-0) showed that six is the least, Lavin and Gray (2016, arXiv:1509.09308) brought it to
convolutional networks.

The points are 0, ±5/8, ±3/2 and infinity: of pairs of small fractions those with the least rounding error, in
two dimensions less than half of that of the customary ±1, ±2 (compare Barabasz et al. 2020,
doi:10.1145/3412380). Transforms are matrix products here, so that their constants cost nothing.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import mlx.core as mx
import numpy as np

TAPS, OUTPUTS, POINTS = 3, 4, 6
FINITE_POINTS = (0.0, 0.625, -0.625, 1.5, -1.5)


class Transforms(NamedTuple):
    """Transforms of one axis, or of two at once as Kronecker products.

    Attributes
    ----------
    inputs : mlx.core.array, shape (points, points)
        B.T
    taps : mlx.core.array, shape (points, taps)
        G
    outputs : mlx.core.array, shape (outputs, points)
        A.T
    taps_back : mlx.core.array, shape (taps, points)
        G.T
    outputs_back : mlx.core.array, shape (points, outputs)
        A
    """

    inputs: mx.array
    taps: mx.array
    outputs: mx.array
    taps_back: mx.array
    outputs_back: mx.array


@cache
def one_axis() -> Transforms:
    """Return the transforms for six points, three taps and four outputs, float32."""
    return _transforms(*matrices())


@cache
def two_axes() -> Transforms:
    """Return the transforms for 36 points, nine taps and sixteen outputs, float32."""
    return _transforms(*(np.kron(matrix, matrix) for matrix in matrices()))


def matrices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return B.T (6, 6), G (6, 3) and A.T (4, 6), float64.

    Row i of B.T holds, for a finite point, the coefficients of the product of (x - point) over the other
    finite points; of G, the powers of the point over that product at the point; column i of A.T its powers.
    """
    inputs, taps, outputs = np.zeros((POINTS, POINTS)), np.zeros((POINTS, TAPS)), np.zeros((OUTPUTS, POINTS))
    for row, point in enumerate(FINITE_POINTS):
        others = [other for other in FINITE_POINTS if other != point]
        inputs[row, : POINTS - 1] = np.poly(others)[::-1]
        taps[row] = point ** np.arange(TAPS) / np.prod([point - other for other in others])
        outputs[:, row] = point ** np.arange(OUTPUTS)
    inputs[-1] = np.poly(FINITE_POINTS)[::-1]
    taps[-1, -1] = outputs[-1, -1] = 1.0
    return inputs, taps, outputs


def _transforms(inputs: np.ndarray, taps: np.ndarray, outputs: np.ndarray) -> Transforms:
    return Transforms(*map(_array, (inputs, taps, outputs, taps.T, outputs.T)))


def _array(matrix: np.ndarray) -> mx.array:
    return mx.array(np.ascontiguousarray(matrix, np.float32))
