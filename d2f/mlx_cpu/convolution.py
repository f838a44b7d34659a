"""A convolution's form chosen by its shape, with gradients of the same kind.

Which form is fastest where was measured (docs/explanation/mlx-on-a-cpu.md); all of them give mlx.nn's values and
gradients within rounding. What no form covers is left to MLX.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import mlx.core as mx

from d2f.mlx_cpu.forms import (
    OUTPUTS,
    PATCHES,
    UNFOLDED,
    Form,
    RowFilter,
    Shifted,
    TileFilter,
    Window,
    patches_input_gradient,
    strided_input_gradient,
    sum_of_channels,
)

SHIFTED, ROWS, TILES = Shifted(), RowFilter(), TileFilter()

CHANNELS_TO_MULTIPLY = 16
"""From here on, the channels alone are wide enough for products; below, windows are unfolded."""

CHANNELS_TO_TILE = 100
"""From here on, minimal filtering in both directions saves more in products than its transforms cost."""

TILES_TO_MULTIPLY = 8
"""With fewer tiles (one picture, a small map) reading the transformed weights costs more than they save."""


class Prepared(NamedTuple):
    """Weights as a form wants them."""

    form: Form
    weights: Sequence[mx.array]


def is_covered(x: mx.array, weight: mx.array, window: Window) -> bool:
    """Say whether a form here computes this convolution; if not, MLX's own is to be used."""
    plain = x.ndim == weight.ndim == 4 and x.dtype == weight.dtype == mx.float32 and x.shape[-1] == weight.shape[-1]
    fits = all(margin < kernel for margin, kernel in zip(window.padding, window.kernel, strict=True))
    return plain and fits and x.size > 0 and min(window.places(*x.shape[1:3])) > 0


def choose(shape: tuple[int, ...], out: int, window: Window) -> Form:
    """Return the form, for maps of a shape (n, height, width, in)."""
    images, height, width, channels = shape
    if window.padding == (0, 0) and all(k <= s for k, s in zip(window.kernel, window.stride, strict=True)):
        return PATCHES
    fewest = min(channels, out)
    if window.stride != (1, 1) or fewest < CHANNELS_TO_MULTIPLY:
        return UNFOLDED
    if window.kernel != (3, 3):
        return SHIFTED
    if fewest < CHANNELS_TO_TILE:
        return ROWS
    return _tiles_if_many(images, *window.places(height, width))


def choose_for_weights(shape: tuple[int, ...], out: int, window: Window) -> Form:
    """Return the form that computes the gradient of the weights, for maps of a shape (n, height, width, in)."""
    form = choose(shape, out, window)
    if form is not ROWS:
        return form
    images, height, width, channels = shape
    # By rows, a product (out, in) is stored for each strip of rows: more than the map itself where that is narrow.
    narrow = width * (channels + out) < channels * out
    return _tiles_if_many(images, *window.places(height, width)) if narrow else ROWS


def _tiles_if_many(images: int, down: int, across: int) -> Form:
    return TILES if images * -(-down // OUTPUTS) * -(-across // OUTPUTS) >= TILES_TO_MULTIPLY else UNFOLDED


def convolve(
    x: mx.array,
    weight: mx.array,
    window: Window,
    bias: mx.array | None = None,
    prepared: Prepared | None = None,
) -> mx.array:
    """Return the convolution of x with weights, as ``mx.conv2d`` does without groups and dilation, plus a bias.

    `x` mlx.core.array, shape (n, height, width, in), float32; `weight` mlx.core.array, shape (out, kh, kw, in),
    float32; `bias` mlx.core.array, shape (out,), optional; returns mlx.core.array, shape (n, height', width', out),
    float32.
    """
    form = choose(x.shape, weight.shape[0], window) if prepared is None else prepared.form
    stream = mx.default_stream(mx.default_device())

    @mx.custom_function
    def apply(x: mx.array, weight: mx.array, *bias: mx.array) -> mx.array:
        return form.forward(x, form.prepare(weight) if prepared is None else prepared.weights, window, *bias)

    @apply.vjp
    def gradients(primals: list[mx.array], cotangent: mx.array, _: mx.array) -> list[mx.array]:
        x, weight, *bias = primals
        with mx.stream(stream):
            by_input = input_gradient(cotangent, weight, window, *x.shape[1:3])
            by_weight = choose_for_weights(x.shape, weight.shape[0], window).weight_gradient(x, cotangent, window)
            return [by_input, by_weight, *[sum_of_channels(cotangent) for _ in bias]]

    return apply(x, weight, *(() if bias is None else (bias,)))


def input_gradient(gradient: mx.array, weight: mx.array, window: Window, height: int, width: int) -> mx.array:
    """Return the gradient (n, height, width, in) of a convolution's input, given that of its output."""
    if window.padding == (0, 0) and all(k <= s for k, s in zip(window.kernel, window.stride, strict=True)):
        return patches_input_gradient(gradient, weight, window, height, width)
    if window.stride != (1, 1):
        return strided_input_gradient(gradient, weight, window, height, width)
    # With stride 1 it is a convolution again: kernel turned round, channels exchanged.
    margins = (window.kernel[0] - 1 - window.padding[0], window.kernel[1] - 1 - window.padding[1])
    turned = Window(window.kernel, padding=margins)
    form = choose(gradient.shape, weight.shape[-1], turned)
    result: mx.array = form.forward(gradient, form.prepare(weight[:, ::-1, ::-1].transpose(3, 1, 2, 0)), turned)
    return result
