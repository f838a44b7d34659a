"""Convolutions with three taps across and stride 1, for few channels: one product for all three taps of a row.

Three neighbouring pixels of the padded map are one row of a matrix, in memory as they are; the rows that begin
at every third pixel do not overlap. So each third of the places (those whose number leaves 0, 1 or 2 when
divided by three) is a product without a copy, three times as wide as that of a single tap, and the thirds are
woven together at the end.
"""

from __future__ import annotations

from collections.abc import Sequence

import mlx.core as mx

from d2f.mlx_cpu import rows, shifted
from d2f.mlx_cpu.window import Window, crop

THIRDS = 3

WIDE = 100
"""Pixels across from which on the weights' gradient is faster by rows than as shifted products."""


def prepare(weight: mx.array) -> list[mx.array]:
    """Return, for each row of taps of weights (out, kh, 3, in), a matrix (3 thirds, 3 * in, out)."""
    out, down, across, channels = weight.shape
    rows = mx.split(weight.transpose(1, 2, 3, 0).reshape(down * across * channels, out), down, axis=0)
    # With two axes only, MLX would copy the thirds into one matrix first.
    return [mx.broadcast_to(row, (THIRDS, *row.shape)) for row in rows]


def forward(x: mx.array, prepared: Sequence[mx.array], window: Window, bias: mx.array | None = None) -> mx.array:
    """Convolve x (n, height, width, in) and add a bias; returns (n, height', width', out)."""
    images, _, columns, channels = x.shape
    out = prepared[0].shape[-1]
    height, width = window.places(*x.shape[1:3])
    wide = -(-(columns + 2 * window.padding[1]) // THIRDS) * THIRDS
    # A row more below, as the last third reads on over the end.
    padded = window.pad(x, below=1, right=wide - columns - 2 * window.padding[1])
    tall = padded.shape[1]
    places = (images * tall - window.kernel[0]) * wide // THIRDS
    flat, total = padded.reshape(-1), None
    for row, matrix in enumerate(prepared):
        threes, steps = (THIRDS, places, THIRDS * channels), (channels, THIRDS * channels, 1)
        pixels = mx.as_strided(flat, threes, steps, row * wide * channels)
        total = pixels @ matrix if total is None else mx.addmm(total, pixels, matrix)
    image, row_of_thirds = tall * wide // THIRDS * out, wide // THIRDS * out
    shape, strides = (images, height, wide // THIRDS, THIRDS, out), (image, row_of_thirds, out, places * out, 1)
    # An addition gathers strided runs twice as fast as a copy does, be it of nothing.
    woven = mx.as_strided(total, shape, strides) + (0.0 if bias is None else bias)
    return crop(woven.reshape(images, height, wide, out), 0, 0, height, width)


def weight_gradient(x: mx.array, gradient: mx.array, window: Window) -> mx.array:
    """Return the gradient (out, 3, 3, in) of the weights, given that of the output."""
    form = rows if gradient.shape[2] >= WIDE else shifted
    return form.weight_gradient(x, gradient, window)
