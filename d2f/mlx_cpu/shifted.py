"""Convolutions of stride 1 as a sum over the taps: the map, shifted, times the tap's matrix.

The padded map is one long list of pixels; a shift is a later start in it, so that nothing is copied. The list
runs on over the ends of rows: what is computed there is left out by the view that is returned.
"""

from __future__ import annotations

from collections.abc import Iterator

import mlx.core as mx

from d2f.mlx_cpu.window import Window


def prepare(weight: mx.array) -> mx.array:
    """Reorder weights (out, kh, kw, in) to (kh, kw, out, in)."""
    return mx.contiguous(weight.transpose(1, 2, 0, 3))


def forward(x: mx.array, prepared: mx.array, window: Window) -> mx.array:
    """Convolve x (n, height, width, in) with prepared weights; returns (n, height', width', out)."""
    padded, out = window.pad(x), prepared.shape[2]
    taps = prepared.reshape(-1, *prepared.shape[2:])
    total = None
    for matrix, pixels in zip(taps, _shifts(padded, window.kernel), strict=True):
        total = pixels @ matrix.T if total is None else mx.addmm(total, pixels, matrix.T)
    images, tall, wide, _ = padded.shape
    height, width = window.places(*x.shape[1:3])
    return mx.as_strided(total, (images, height, width, out), (tall * wide * out, wide * out, out, 1))


def weight_gradient(x: mx.array, gradient: mx.array, window: Window) -> mx.array:
    """Return the gradient (out, kh, kw, in) of the weights, given that of the output."""
    (down, across), out = window.kernel, gradient.shape[-1]
    # Zeros where the list of pixels runs on over the ends of rows.
    outputs = Window((1, 1)).pad(gradient, down - 1, across - 1).reshape(-1, out)
    taps = []
    for pixels in _shifts(window.pad(x), window.kernel):
        taps.append(outputs[: pixels.shape[0]].T @ pixels)
    return mx.stack(taps, 1).reshape(out, down, across, x.shape[-1])


def _shifts(padded: mx.array, kernel: tuple[int, int]) -> Iterator[mx.array]:
    """Yield the pixels (m, channels) that each tap meets, m the same for all."""
    images, tall, wide, channels = padded.shape
    pixels = padded.reshape(-1, channels)
    count = images * tall * wide - (kernel[0] - 1) * wide - (kernel[1] - 1)
    for down in range(kernel[0]):
        for across in range(kernel[1]):
            start = down * wide + across
            yield pixels[start : start + count]
