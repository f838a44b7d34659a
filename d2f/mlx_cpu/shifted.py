"""Convolutions of stride 1 as a sum over the taps: the map, shifted, times the tap's matrix.

The padded map is one long list of pixels; a shift is a later start in it, so that nothing is copied. The list
runs on over the ends of rows: what is computed there is left out by the view that is returned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import mlx.core as mx

from d2f.mlx_cpu.window import Window


def prepare(weight: mx.array) -> list[mx.array]:
    """Return the matrix (in, out) of each tap of weights (out, kh, kw, in), row by row."""
    out, down, across, channels = weight.shape
    taps = weight.transpose(1, 2, 3, 0).reshape(down * across * channels, out)
    return list(mx.split(taps, down * across, axis=0))


def forward(x: mx.array, prepared: Sequence[mx.array], window: Window, bias: mx.array | None = None) -> mx.array:
    """Convolve x (n, height, width, in) and add a bias; returns (n, height', width', out)."""
    padded, out = window.pad(x), prepared[0].shape[1]
    total = bias
    for matrix, pixels in zip(prepared, _shifts(padded, window.kernel), strict=True):
        total = pixels @ matrix if total is None else mx.addmm(total, pixels, matrix)
    images, tall, wide, _ = padded.shape
    height, width = window.places(*x.shape[1:3])
    return mx.as_strided(total, (images, height, width, out), (tall * wide * out, wide * out, out, 1))


def weight_gradient(x: mx.array, gradient: mx.array, window: Window) -> mx.array:
    """Return the gradient (out, kh, kw, in) of the weights, given that of the output."""
    (down, across), out = window.kernel, gradient.shape[-1]
    shifts = list(_shifts(window.pad(x), window.kernel))
    # Zeros where the list of pixels runs on over the ends of rows.
    outputs = Window((1, 1)).pad(gradient, down - 1, across - 1)
    outputs = mx.as_strided(outputs, (out, shifts[0].shape[0]), (1, out))
    return mx.stack([outputs @ pixels for pixels in shifts], 1).reshape(out, down, across, x.shape[-1])


def _shifts(padded: mx.array, kernel: tuple[int, int]) -> Iterator[mx.array]:
    """Yield the pixels (m, channels) that each tap meets, m the same for all."""
    images, tall, wide, channels = padded.shape
    count = images * tall * wide - (kernel[0] - 1) * wide - (kernel[1] - 1)
    flat = padded.reshape(-1)
    for down in range(kernel[0]):
        for across in range(kernel[1]):
            yield mx.as_strided(flat, (count, channels), (channels, 1), (down * wide + across) * channels)
