"""Pooling by strided slices of the map, with mlx.nn's values and gradients."""

from __future__ import annotations

from functools import reduce

import mlx.core as mx

from d2f.mlx_cpu.window import Window, crop

Margin = tuple[int, int]


def max_pool(x: mx.array, window: Window, beyond: Margin = (0, 0)) -> mx.array:
    """Return the largest value under each place of the window.

    Parameters
    ----------
    x : mlx.core.array, shape (n, height, width, channels), float32
    window : Window
        Margins count as minus infinity.
    beyond : (int, int)
        Rows and columns more at the map's end, for places that only reach beyond it (ceil mode).

    Returns
    -------
    mlx.core.array, shape (n, height', width', channels)
        Its gradient goes to the largest value; where several are equal, in equal parts to each.
    """
    stream = mx.default_stream(mx.default_device())
    height, width = x.shape[1:3]
    places = window.places(height + beyond[0], width + beyond[1])

    @mx.custom_function
    def apply(x: mx.array) -> mx.array:
        padded = window.pad(x, *beyond, value=-float("inf"))
        tall = reduce(mx.maximum, [_every(padded, 1, k, window, places) for k in range(window.kernel[0])])
        return reduce(mx.maximum, [_every(tall, 2, k, window, places) for k in range(window.kernel[1])])

    @apply.vjp
    def gradient(x: mx.array, cotangent: mx.array, output: mx.array) -> mx.array:
        with mx.stream(stream):
            padded = window.pad(x, *beyond, value=-float("inf"))
            # 1 where the window's largest value is, 0 elsewhere: both are exact.
            hits = [(part == output).astype(x.dtype) for part in _parts(padded, window, places)]
            share = cotangent / reduce(mx.add, hits)
            shares = [hit * share for hit in hits]
            return _put_back(shares, window, padded.shape, (height, width))

    result: mx.array = apply(x)
    return result


def average_pool(x: mx.array, window: Window) -> mx.array:
    """Return the mean under each place of the window, its margins counting as zeros."""
    stream = mx.default_stream(mx.default_device())
    height, width = x.shape[1:3]
    places = window.places(height, width)
    part = 1.0 / (window.kernel[0] * window.kernel[1])

    @mx.custom_function
    def apply(x: mx.array) -> mx.array:
        padded = window.pad(x)
        tall = reduce(mx.add, [_every(padded, 1, k, window, places) for k in range(window.kernel[0])])
        return reduce(mx.add, [_every(tall, 2, k, window, places) for k in range(window.kernel[1])]) * part

    @apply.vjp
    def gradient(x: mx.array, cotangent: mx.array, _: mx.array) -> mx.array:
        with mx.stream(stream):
            shape = (x.shape[0], height + 2 * window.padding[0], width + 2 * window.padding[1], x.shape[3])
            shares = [cotangent * part] * (window.kernel[0] * window.kernel[1])
            return _put_back(shares, window, shape, (height, width))

    result: mx.array = apply(x)
    return result


def _every(x: mx.array, axis: int, start: int, window: Window, places: Margin) -> mx.array:
    """Return every stride-th row (axis 1) or column (axis 2) from one on, as many as the window has places."""
    step, count = window.stride[axis - 1], places[axis - 1]
    span = slice(start, start + step * (count - 1) + 1, step)
    return x[:, span] if axis == 1 else x[:, :, span]


def _parts(padded: mx.array, window: Window, places: Margin) -> list[mx.array]:
    """Return, for each offset in the window, the values that its places have there."""
    rows = [_every(padded, 1, down, window, places) for down in range(window.kernel[0])]
    return [_every(row, 2, across, window, places) for row in rows for across in range(window.kernel[1])]


def _put_back(parts: list[mx.array], window: Window, padded: tuple[int, ...], size: Margin) -> mx.array:
    """Add up the parts of `_parts` at the pixels that they came from; returns the map without its margins.

    Offsets that are equal modulo the stride fall on the same pixels, a stride further on for each turn: they
    are added as shifted maps, and the maps of all remainders are woven together.
    """
    (kernel_down, kernel_across), (step_down, step_across) = window.kernel, window.stride
    images, tall, wide, channels = padded
    down, across = -(-tall // step_down), -(-wide // step_across)
    woven = []
    for a in range(step_down):
        line = []
        for b in range(step_across):
            total = mx.zeros((images, down, across, channels))
            for i in range(a, kernel_down, step_down):
                for j in range(b, kernel_across, step_across):
                    part = parts[i * kernel_across + j]
                    above, left = i // step_down, j // step_across
                    below, right = down - above - part.shape[1], across - left - part.shape[2]
                    total = total + mx.pad(part, ((0, 0), (above, below), (left, right), (0, 0)))
            line.append(total)
        woven.append(mx.stack(line, 3))
    whole = mx.stack(woven, 2).reshape(images, down * step_down, across * step_across, channels)
    return crop(whole, *window.padding, *size)
