"""The gradient of a strided convolution with respect to its input.

With stride s the pixels of the input fall into s x s phases; each meets its own taps only (every s-th), and
meets them as in a convolution of stride 1. So each phase is a sum of shifted products of the output's
gradient, and the phases are woven together.
"""

from __future__ import annotations

import mlx.core as mx

from d2f.mlx_cpu.window import Window, crop


def input_gradient(gradient: mx.array, weight: mx.array, window: Window, height: int, width: int) -> mx.array:
    """Return the gradient (n, height, width, in), given that of the output (n, height', width', out)."""
    (step_down, step_across), (top, left) = window.stride, window.padding
    down, across = -(-(height + top) // step_down), -(-(width + left) // step_across)
    reach = tuple(-(-kernel // step) - 1 for kernel, step in zip(window.kernel, window.stride, strict=True))
    # Margins so wide that the earliest tap of a phase finds zeros before the map and the last place after it.
    below, right = max(0, down - gradient.shape[1]), max(0, across - gradient.shape[2])
    padded = mx.pad(gradient, ((0, 0), (reach[0], below), (reach[1], right), (0, 0)))
    taps = mx.contiguous(weight.transpose(1, 2, 0, 3))
    phases = [
        mx.stack([_phase(padded, taps[a::step_down, b::step_across], (down, across)) for b in range(step_across)], 3)
        for a in range(step_down)
    ]
    woven = mx.stack(phases, 2).reshape(gradient.shape[0], down * step_down, across * step_across, -1)
    return crop(woven, top, left, height, width)


def _phase(padded: mx.array, taps: mx.array, places: tuple[int, int]) -> mx.array:
    """Return one phase (n, down, across, in); `taps` (th, tw, out, in) are those that it meets."""
    images, tall, wide, out = padded.shape
    channels = taps.shape[-1]
    shape, strides = (images, *places, channels), (tall * wide * channels, wide * channels, channels, 1)
    if 0 in taps.shape[:2]:  # A stride beyond the kernel skips pixels.
        return mx.zeros(shape, padded.dtype)
    reach_down, reach_across = tall - places[0], wide - places[1]
    pixels = padded.reshape(-1, out)
    count = images * tall * wide - reach_down * wide - reach_across
    total = None
    for down in range(taps.shape[0]):
        for across in range(taps.shape[1]):
            start = (reach_down - down) * wide + reach_across - across
            shifted, matrix = pixels[start : start + count], mx.contiguous(taps[down, across])
            total = shifted @ matrix if total is None else mx.addmm(total, shifted, matrix)
    return mx.as_strided(total, shape, strides)
