"""Convolutions of any stride as one product: every window copied into a row of a matrix."""

from __future__ import annotations

from collections.abc import Sequence

import mlx.core as mx

from d2f.mlx_cpu.window import Window, spread


def prepare(weight: mx.array) -> list[mx.array]:
    """Reshape weights (out, kh, kw, in) to a matrix (kh * kw * in, out)."""
    return [weight.reshape(weight.shape[0], -1).T]


def forward(x: mx.array, prepared: Sequence[mx.array], window: Window, bias: mx.array | None = None) -> mx.array:
    """Convolve x (n, height, width, in) and add a bias; returns (n, height', width', out)."""
    places = window.places(*x.shape[1:3])
    y = (_windows(x, window) @ prepared[0]).reshape(x.shape[0], *places, -1)
    return y if bias is None else y + spread(bias, y.shape[2])


def weight_gradient(x: mx.array, gradient: mx.array, window: Window) -> mx.array:
    """Return the gradient (out, kh, kw, in) of the weights, given that of the output."""
    out = gradient.shape[-1]
    return (gradient.reshape(-1, out).T @ _windows(x, window)).reshape(out, *window.kernel, x.shape[-1])


def _windows(x: mx.array, window: Window) -> mx.array:
    """Return the windows (n * places, kh * kw * in)."""
    images, rows, columns, channels = x.shape
    (kernel_down, kernel_across), (step_down, step_across) = window.kernel, window.stride
    places = window.places(rows, columns)
    padded = window.pad(x)
    row = padded.shape[2] * channels
    shape = (images, *places, kernel_down, kernel_across * channels)
    strides = (padded.shape[1] * row, step_down * row, step_across * channels, row, 1)
    return mx.as_strided(padded, shape, strides).reshape(images * places[0] * places[1], -1)
