"""Batch norm over the pieces of a batch, in the fewest passes over memory that MLX's operations allow.

Ioffe and Szegedy 2015 (arXiv:1502.03167): y = d * slope + bias, where d = x - mean, slope = weight /
sqrt(variance + epsilon), mean and (biased) variance of each channel over the batch and all places. With g the
gradient of y, that of x is slope * (g - mean(g) - d * mean(g * d) / (variance + epsilon)).
"""

from __future__ import annotations

from collections.abc import Sequence

import mlx.core as mx

from d2f.mlx_cpu.channels import sum_of_rows
from d2f.mlx_cpu.pieces import Pieces


def normalise(pieces: Pieces, weight: mx.array, bias: mx.array, epsilon: float) -> tuple[Pieces, mx.array, mx.array]:
    """Normalise the channels over all pieces.

    A row of the map is worked on at a time, its channels' numbers repeated for each pixel: MLX is slow at
    repeating short vectors itself.

    Parameters
    ----------
    pieces : Pieces
        Of shape (n, height, width, channels), float32.
    weight, bias : mlx.core.array, shape (channels,)
    epsilon : float
        Added to the variance.

    Returns
    -------
    normalised : Pieces
    mean, variance : mlx.core.array, shape (channels,)
        Biased; for running statistics, no gradient flows through them.
    """
    width, channels = pieces.arrays[0].shape[-2:]
    count = sum(piece.size for piece in pieces.arrays) // channels

    @mx.custom_function
    def apply(weight: mx.array, bias: mx.array, *arrays: mx.array) -> list[mx.array]:
        x = _rows(pieces, arrays)
        mean = _total(x, channels) / count
        distances = x.map(lambda piece: piece - mx.tile(mean, width))
        variance = _total(distances.map(mx.square), channels) / count
        slope = weight * mx.rsqrt(variance + epsilon)
        made = distances.map(lambda d: d * mx.tile(slope, width) + mx.tile(bias, width))
        return [mean, variance, *_like(arrays, made)]

    @apply.vjp
    def gradient(primals: list[mx.array], cotangents: list[mx.array], outputs: list[mx.array]) -> list[mx.array]:
        x, g = _rows(pieces, primals[2:]), _rows(pieces, cotangents[2:])
        mean, variance = outputs[:2]
        scale = mx.rsqrt(variance + epsilon)
        slope, by_bias = primals[0] * scale, _total(g, channels)
        middle = mx.tile(mean, width)
        by_weight = _total(x.map(lambda piece, one: (piece - middle) * one, g), channels) * scale
        along = -slope * scale * by_weight / count
        slopes, alongs, offsets = (mx.tile(v, width) for v in (slope, along, -slope * by_bias / count - mean * along))
        by_input = g.map(lambda one, piece: one * slopes + (piece * alongs + offsets), x)
        return [by_weight, by_bias, *_like(primals[2:], by_input)]

    mean, variance, *made = apply(weight, bias, *pieces.arrays)
    return pieces.with_arrays(made), mean, variance


def _total(pieces: Pieces, channels: int) -> mx.array:
    """Return the sums over all pieces, shape (channels,), of rows (m, width * channels)."""
    sums = pieces.map(lambda rows: sum_of_rows(rows, channels)).arrays
    return sum(sums[1:], start=sums[0])


def _rows(pieces: Pieces, arrays: Sequence[mx.array]) -> Pieces:
    return pieces.with_arrays([array.reshape(-1, array.shape[-2] * array.shape[-1]) for array in arrays])


def _like(arrays: Sequence[mx.array], rows: Pieces) -> list[mx.array]:
    return [piece.reshape(array.shape) for piece, array in zip(rows.arrays, arrays, strict=True)]
