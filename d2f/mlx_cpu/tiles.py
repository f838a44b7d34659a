"""3x3 convolutions of stride 1 by minimal filtering in both directions: tiles of 4x4 outputs.

36 products for sixteen outputs instead of 144, each product one of matrices (tiles x in) and (in x out). The
transforms are products with a 36x36 matrix; best where channels are many.
"""

from __future__ import annotations

from collections.abc import Sequence

import mlx.core as mx

from d2f.mlx_cpu.hook import OUTPUTS, POINTS, TAPS, two_axes
from d2f.mlx_cpu.window import Window, crop


def prepare(weight: mx.array) -> list[mx.array]:
    """Transform weights (out, 3, 3, in) to matrices (36 points, in, out)."""
    out, _, _, channels = weight.shape
    points = two_axes().taps @ weight.transpose(1, 2, 0, 3).reshape(TAPS * TAPS, -1)
    return [points.reshape(-1, out, channels).swapaxes(-1, -2)]


def forward(x: mx.array, prepared: Sequence[mx.array], window: Window, bias: mx.array | None = None) -> mx.array:
    """Convolve x (n, height, width, in) and add a bias; returns (n, height', width', out)."""
    images, out = x.shape[0], prepared[0].shape[-1]
    height, width = window.places(*x.shape[1:3])
    down, across = _tiles(height, width)
    products = _transformed(x, window) @ prepared[0]
    tiles = two_axes().outputs @ products.reshape(POINTS * POINTS, -1)
    tile, place = down * across * out, images * down * across * out
    shape = (images, down, OUTPUTS, across, OUTPUTS, out)
    ordered = mx.as_strided(tiles, shape, (tile, across * out, OUTPUTS * place, out, place, 1))
    # An addition gathers strided runs twice as fast as a copy does, be it of nothing.
    whole = ordered + (0.0 if bias is None else bias)
    return crop(whole.reshape(images, OUTPUTS * down, OUTPUTS * across, out), 0, 0, height, width)


def weight_gradient(x: mx.array, gradient: mx.array, window: Window) -> mx.array:
    """Return the gradient (out, 3, 3, in) of the weights, given that of the output."""
    images, height, width, out = gradient.shape
    down, across = _tiles(height, width)
    inputs = _transformed(x, window)
    whole = Window((1, 1)).pad(gradient, OUTPUTS * down - height, OUTPUTS * across - width)
    whole = whole.reshape(images, down, OUTPUTS, across, OUTPUTS, out).transpose(2, 4, 0, 1, 3, 5)
    outputs = (two_axes().outputs_back @ whole.reshape(OUTPUTS * OUTPUTS, -1)).reshape(POINTS * POINTS, -1, out)
    points = (outputs.swapaxes(1, 2) @ inputs).reshape(POINTS * POINTS, -1)
    return (two_axes().taps_back @ points).reshape(TAPS, TAPS, out, x.shape[-1]).transpose(2, 0, 1, 3)


def _tiles(height: int, width: int) -> tuple[int, int]:
    return -(-height // OUTPUTS), -(-width // OUTPUTS)


def _transformed(x: mx.array, window: Window) -> mx.array:
    """Return the transformed tiles (36 points, n * tiles, in)."""
    images, rows, columns, channels = x.shape
    down, across = _tiles(*window.places(rows, columns))
    tall, wide = OUTPUTS * down + TAPS - 1, OUTPUTS * across + TAPS - 1
    padded = window.pad(x, tall - rows - 2 * window.padding[0], wide - columns - 2 * window.padding[1])
    row = wide * channels
    shape = (POINTS, POINTS, images, down, across, channels)
    tiles = mx.as_strided(padded, shape, (row, channels, tall * row, OUTPUTS * row, OUTPUTS * channels, 1))
    points = two_axes().inputs @ tiles.reshape(POINTS * POINTS, -1)
    return points.reshape(POINTS * POINTS, -1, channels)
