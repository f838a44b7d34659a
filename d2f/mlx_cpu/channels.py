"""Arithmetic of maps (n, height, width, channels) with one number a channel."""

from __future__ import annotations

import mlx.core as mx

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
