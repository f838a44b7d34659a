"""Arithmetic of maps (n, height, width, channels) with one number a channel."""

from __future__ import annotations

from typing import NamedTuple

import mlx.core as mx


class Window(NamedTuple):
    """A window's size, step and margin, each (down, across)."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)

    def places(self, height: int, width: int) -> tuple[int, int]:
        """Return how many places the window has on a map, down and across."""
        down, across = (
            (size + 2 * margin - kernel) // step + 1
            for size, kernel, step, margin in zip((height, width), self.kernel, self.stride, self.padding, strict=True)
        )
        return down, across

    def pad(self, x: mx.array, below: int = 0, right: int = 0, value: float = 0.0) -> mx.array:
        """Return a map (n, height, width, channels) with the margins, and so much more at its end, in one piece."""
        down, across = self.padding
        if not (down or across or below or right):
            return mx.contiguous(x)
        margins = ((0, 0), (down, down + below), (across, across + right), (0, 0))
        return mx.pad(x, margins, constant_values=mx.array(value, x.dtype))


def crop(x: mx.array, top: int, left: int, height: int, width: int) -> mx.array:
    """Return a part of a map; the map itself where that is all of it."""
    if x.shape[1:3] == (height, width):
        return x
    return x[:, top : top + height, left : left + width]


ENOUGH = 64
"""Numbers from which on MLX repeats a vector along a map as fast as it reads another map."""


def spread(numbers: mx.array, width: int) -> mx.array:
    """Return one number a channel as (channels,) or (width, channels), whichever MLX combines faster with maps."""
    channels = numbers.shape[0]
    return numbers if channels >= ENOUGH else mx.contiguous(mx.broadcast_to(numbers, (width, channels)))


def sum_of_channels(x: mx.array) -> mx.array:
    """Return the sums over all pixels of a map, shape (channels,)."""
    # Each column's sum before all columns': MLX adds one number after the other, and short sums round less.
    return x.sum((0, 1)).sum(0)
