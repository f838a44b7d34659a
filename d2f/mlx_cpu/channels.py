"""Arithmetic of maps with one number a channel, a row of the map at a time.

MLX is slow at repeating short vectors: here they are repeated for each pixel of a row beforehand.
"""

from __future__ import annotations

import mlx.core as mx


def add_to_channels(x: mx.array, numbers: mx.array) -> mx.array:
    """Return a map (n, height, width, channels) plus a number for each channel."""
    images, height, width, channels = x.shape
    rows = x.reshape(images, height, width * channels) + mx.tile(numbers, width)
    return rows.reshape(x.shape)


def sum_of_channels(x: mx.array) -> mx.array:
    """Return the sums over all pixels of a map (n, height, width, channels), shape (channels,)."""
    width, channels = x.shape[-2:]
    return sum_of_rows(x.reshape(-1, width * channels), channels)


def sum_of_rows(rows: mx.array, channels: int) -> mx.array:
    """Return the sums over all pixels of a map's rows (m, width * channels), shape (channels,)."""
    # Each column's sum before all columns': MLX adds one number after the other, and short sums round less.
    return rows.sum(0).reshape(-1, channels).sum(0)
