"""Convolutions whose windows do not overlap: 1x1 of any stride, and kernels as large as the stride.

The map is cut into patches, which are the rows of one matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence

import mlx.core as mx

from d2f.mlx_cpu.window import Window, crop, spread


def prepare(weight: mx.array) -> list[mx.array]:
    """Reshape weights (out, kh, kw, in) to a matrix (kh * kw * in, out)."""
    return [weight.reshape(weight.shape[0], -1).T]


def forward(x: mx.array, prepared: Sequence[mx.array], window: Window, bias: mx.array | None = None) -> mx.array:
    """Convolve x (n, height, width, in) and add a bias; returns (n, height', width', out)."""
    places = window.places(*x.shape[1:3])
    y = (_cut(x, window) @ prepared[0]).reshape(x.shape[0], *places, -1)
    return y if bias is None else y + spread(bias, y.shape[2])


def weight_gradient(x: mx.array, gradient: mx.array, window: Window) -> mx.array:
    """Return the gradient (out, kh, kw, in) of the weights, given that of the output."""
    out = gradient.shape[-1]
    return (gradient.reshape(-1, out).T @ _cut(x, window)).reshape(out, *window.kernel, x.shape[-1])


def input_gradient(gradient: mx.array, weight: mx.array, window: Window, height: int, width: int) -> mx.array:
    """Return the gradient (n, height, width, in), given that of the output (n, height', width', out)."""
    images, down, across, out = gradient.shape
    (kernel_down, kernel_across), channels = window.kernel, weight.shape[-1]
    patches = gradient.reshape(-1, out) @ weight.reshape(out, -1)
    patches = patches.reshape(images, down, across, kernel_down, kernel_across, channels)
    # What the windows step over has no gradient.
    skipped = [step - kernel for step, kernel in zip(window.stride, window.kernel, strict=True)]
    if any(skipped):
        patches = mx.pad(patches, ((0, 0), (0, 0), (0, 0), (0, skipped[0]), (0, skipped[1]), (0, 0)))
    whole = patches.transpose(0, 1, 3, 2, 4, 5).reshape(images, down * window.stride[0], across * window.stride[1], -1)
    below, right = height - whole.shape[1], width - whole.shape[2]
    if below > 0 or right > 0:
        whole = mx.pad(whole, ((0, 0), (0, max(0, below)), (0, max(0, right)), (0, 0)))
    return crop(whole, 0, 0, height, width)


def _cut(x: mx.array, window: Window) -> mx.array:
    """Return the patches (n * places, kh * kw * in)."""
    images, rows, columns, channels = x.shape
    places = window.places(rows, columns)
    if window.kernel == window.stride == (1, 1):
        return x.reshape(-1, channels)
    whole = mx.contiguous(x)
    row = columns * channels
    shape = (images, places[0], places[1], window.kernel[0], window.kernel[1] * channels)
    strides = (rows * row, window.stride[0] * row, window.stride[1] * channels, row, 1)
    # Adding nothing gathers long strided runs twice as fast as a copy does.
    return (mx.as_strided(whole, shape, strides) + 0.0).reshape(images * places[0] * places[1], -1)
