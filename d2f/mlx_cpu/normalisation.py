"""Batch norm over the pieces of a batch, in the fewest passes over memory that MLX's operations allow.

Ioffe and Szegedy 2015 (arXiv:1502.03167): y = d * slope + bias, where d = x - mean, slope = weight /
sqrt(variance + epsilon), mean and (biased) variance of each channel over the batch and all places. With g the
gradient of y, that of x is slope * (g - mean(g) - d * mean(g * d) / (variance + epsilon)).
"""

from __future__ import annotations

import mlx.core as mx

from d2f.mlx_cpu.channels import spread, sum_of_channels
from d2f.mlx_cpu.pieces import Pieces


def normalise(pieces: Pieces, weight: mx.array, bias: mx.array, epsilon: float) -> tuple[Pieces, mx.array, mx.array]:
    """Normalise the channels over all pieces.

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
    part = channels / sum(piece.size for piece in pieces.arrays)

    @mx.custom_function
    def apply(weight: mx.array, bias: mx.array, *arrays: mx.array) -> list[mx.array]:
        x = pieces.with_arrays(arrays)
        mean = _total(x) * part
        middle = spread(mean, width)
        distances = x.map(lambda piece: piece - middle)
        variance = _total(distances.map(mx.square)) * part
        scale = mx.rsqrt(variance + epsilon)
        slope, offset = spread(weight * scale, width), spread(bias, width)
        return [mean, variance, scale, *distances.map(lambda d: d * slope + offset).arrays]

    @apply.vjp
    def gradient(primals: list[mx.array], cotangents: list[mx.array], outputs: list[mx.array]) -> list[mx.array]:
        x, g = pieces.with_arrays(primals[2:]), pieces.with_arrays(cotangents[3:])
        mean, _, scale = outputs[:3]
        middle, slope = spread(mean, width), primals[0] * scale
        by_bias = _total(g)
        by_weight = _total(x.map(lambda piece, one: (piece - middle) * one, g)) * scale
        along = slope * scale * by_weight * part
        offset = spread(slope * by_bias * part - mean * along, width)
        along, slope = spread(along, width), spread(slope, width)
        by_input = g.map(lambda one, piece: one * slope - (piece * along + offset), x)
        return [by_weight, by_bias, *by_input.arrays]

    mean, variance, _, *made = apply(weight, bias, *pieces.arrays)
    return pieces.with_arrays(made), mean, variance


def _total(pieces: Pieces) -> mx.array:
    """Return the sums over all pieces, shape (channels,)."""
    sums = pieces.map(sum_of_channels).arrays
    return sum(sums[1:], start=sums[0])
