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

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import mlx.core as mx
import numpy as np

from d2f.mlx_cpu.direct import Window, crop, spread

TAPS, OUTPUTS, POINTS = 3, 4, 6
FINITE_POINTS = (0.0, 0.625, -0.625, 1.5, -1.5)


class Transforms(NamedTuple):
    """Transforms of one axis, or of two at once as Kronecker products."""

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


class Rows:
    """3x3 convolutions of stride 1 by minimal filtering down the columns, without a copy of the map.

    Six neighbouring rows of the padded map lie in one piece in memory, so that the transform of each strip of four
    output rows is a small product of matrices on the map as it is, and its result is four finished rows. Across,
    the three taps are three products added up. Half the multiplications of the direct form; best where channels
    are few and maps wide.
    """

    @staticmethod
    def prepare(weight: mx.array) -> list[mx.array]:
        """Transform weights (out, 3, 3, in): for each of the taps across, the matrices (6 points, in, out)."""
        out, _, _, channels = weight.shape
        points = one_axis().taps @ weight.transpose(1, 2, 3, 0).reshape(TAPS, -1)
        # Split, not indexed: an index of MLX is a gather, element by element.
        by_tap = mx.split(points.reshape(POINTS, TAPS, channels, out), TAPS, axis=1)
        return [tap.squeeze(1) for tap in by_tap]

    @staticmethod
    def forward(x: mx.array, prepared: Sequence[mx.array], window: Window, bias: mx.array | None = None) -> mx.array:
        """Convolve x (n, height, width, in) and add a bias; returns (n, height', width', out)."""
        images, out = x.shape[0], prepared[0].shape[-1]
        height, width = window.places(*x.shape[1:3])
        inputs = _strips(x, window)
        total = _met_by(0, inputs, width) @ prepared[0]
        for tap in range(1, TAPS):
            total = mx.addmm(total, _met_by(tap, inputs, width), prepared[tap])
        rows = one_axis().outputs @ total.reshape(images, -1, POINTS, width * out)
        y = crop(rows.reshape(images, -1, width, out), 0, 0, height, width)
        return y if bias is None else y + spread(bias, y.shape[2])

    @staticmethod
    def weight_gradient(x: mx.array, gradient: mx.array, window: Window) -> mx.array:
        """Return the gradient (out, 3, 3, in) of the weights, given that of the output."""
        images, height, width, out = gradient.shape
        inputs = _strips(x, window)
        strips, channels = inputs.shape[1], inputs.shape[-1]
        whole = Window((1, 1)).pad(gradient, below=OUTPUTS * strips - height)
        outputs = one_axis().outputs_back @ whole.reshape(images, strips, OUTPUTS, width * out)
        outputs = outputs.reshape(images, strips, POINTS, width, out).swapaxes(-1, -2)
        taps = [(outputs @ _met_by(tap, inputs, width)).sum((0, 1)) for tap in range(TAPS)]
        points = mx.concatenate(taps, -1).reshape(POINTS, -1)
        return (one_axis().taps_back @ points).reshape(TAPS, out, TAPS, channels).swapaxes(0, 1)


def _strips(x: mx.array, window: Window) -> mx.array:
    """Return the transformed strips (n, strips, 6 points, padded width, in)."""
    images, rows, _, channels = x.shape
    height, width = window.places(*x.shape[1:3])
    strips, wide = -(-height // OUTPUTS), width + TAPS - 1
    tall = OUTPUTS * strips + TAPS - 1
    padded = window.pad(x, below=tall - rows - 2 * window.padding[0])
    row = wide * channels
    # Strips overlap by two rows; a product reads each where it lies.
    overlapping = mx.as_strided(padded, (images, strips, POINTS, row), (tall * row, OUTPUTS * row, row, 1))
    return (one_axis().inputs @ overlapping).reshape(images, strips, POINTS, wide, channels)


def _met_by(tap: int, inputs: mx.array, width: int) -> mx.array:
    """Return the view (n, strips, 6, width, in) that a tap meets: each row from its `tap`-th pixel on."""
    return inputs[:, :, :, tap : tap + width]


class Tiles:
    """3x3 convolutions of stride 1 by minimal filtering in both directions: tiles of 4x4 outputs.

    36 products for sixteen outputs instead of 144, each product one of matrices (tiles x in) and (in x out). The
    transforms are products with a 36x36 matrix; best where channels are many.
    """

    @staticmethod
    def prepare(weight: mx.array) -> list[mx.array]:
        """Transform weights (out, 3, 3, in) to matrices (36 points, in, out)."""
        out, _, _, channels = weight.shape
        points = two_axes().taps @ weight.transpose(1, 2, 0, 3).reshape(TAPS * TAPS, -1)
        return [points.reshape(-1, out, channels).swapaxes(-1, -2)]

    @staticmethod
    def forward(x: mx.array, prepared: Sequence[mx.array], window: Window, bias: mx.array | None = None) -> mx.array:
        """Convolve x (n, height, width, in) and add a bias; returns (n, height', width', out)."""
        images, out = x.shape[0], prepared[0].shape[-1]
        height, width = window.places(*x.shape[1:3])
        down, across = _tile_counts(height, width)
        products = _squares(x, window) @ prepared[0]
        tiles = two_axes().outputs @ products.reshape(POINTS * POINTS, -1)
        tile, place = down * across * out, images * down * across * out
        shape = (images, down, OUTPUTS, across, OUTPUTS, out)
        ordered = mx.as_strided(tiles, shape, (tile, across * out, OUTPUTS * place, out, place, 1))
        # An addition gathers strided runs twice as fast as a copy does, be it of nothing.
        whole = ordered + (0.0 if bias is None else bias)
        return crop(whole.reshape(images, OUTPUTS * down, OUTPUTS * across, out), 0, 0, height, width)

    @staticmethod
    def weight_gradient(x: mx.array, gradient: mx.array, window: Window) -> mx.array:
        """Return the gradient (out, 3, 3, in) of the weights, given that of the output."""
        images, height, width, out = gradient.shape
        down, across = _tile_counts(height, width)
        inputs = _squares(x, window)
        whole = Window((1, 1)).pad(gradient, OUTPUTS * down - height, OUTPUTS * across - width)
        whole = whole.reshape(images, down, OUTPUTS, across, OUTPUTS, out).transpose(2, 4, 0, 1, 3, 5)
        outputs = (two_axes().outputs_back @ whole.reshape(OUTPUTS * OUTPUTS, -1)).reshape(POINTS * POINTS, -1, out)
        points = (outputs.swapaxes(1, 2) @ inputs).reshape(POINTS * POINTS, -1)
        return (two_axes().taps_back @ points).reshape(TAPS, TAPS, out, x.shape[-1]).transpose(2, 0, 1, 3)


def _tile_counts(height: int, width: int) -> tuple[int, int]:
    return -(-height // OUTPUTS), -(-width // OUTPUTS)


def _squares(x: mx.array, window: Window) -> mx.array:
    """Return the transformed tiles (36 points, n * tiles, in)."""
    images, rows, columns, channels = x.shape
    down, across = _tile_counts(*window.places(rows, columns))
    tall, wide = OUTPUTS * down + TAPS - 1, OUTPUTS * across + TAPS - 1
    padded = window.pad(x, tall - rows - 2 * window.padding[0], wide - columns - 2 * window.padding[1])
    row = wide * channels
    shape = (POINTS, POINTS, images, down, across, channels)
    tiles = mx.as_strided(padded, shape, (row, channels, tall * row, OUTPUTS * row, OUTPUTS * channels, 1))
    points = two_axes().inputs @ tiles.reshape(POINTS * POINTS, -1)
    return points.reshape(POINTS * POINTS, -1, channels)
