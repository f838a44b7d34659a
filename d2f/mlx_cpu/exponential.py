"""The exponential and what is made of it: MLX's Linux wheel takes one number at a time, these a few whole-array steps.

exp(x) = 2^n 2^f with n whole and f in [-1/2, 1/2]: 2^n is put into the exponent's bits of a float, 2^f is its Taylor
series to the sixth power, which is off by 1.6e-7 of it at most there.
"""

from __future__ import annotations

import math

import mlx.core as mx

from d2f.mlx_cpu.parallel import on_this_cpu

SERIES = tuple(math.log(2) ** power / math.factorial(power) for power in range(7))
LEAST, MOST = -126.0, 127.0
"""Powers of two that a normal float32 holds."""


def _is_ours(x: mx.array) -> bool:
    return on_this_cpu() and x.dtype == mx.float32


def exp(x: mx.array) -> mx.array:
    """Return e^x, of float32 to (2 + |x|) 1e-7 of it, and never less than 2^-126 or more than 2^127."""
    return _exp(x) if _is_ours(x) else mx.exp(x)


@mx.custom_function
def _exp(x: mx.array) -> mx.array:
    power = mx.clip(x * math.log2(math.e), LEAST, MOST)
    whole = mx.round(power)
    rest = power - whole
    made = mx.array(SERIES[-1], mx.float32)
    for term in reversed(SERIES[:-1]):
        made = made * rest + term
    return (made.view(mx.int32) + (whole.astype(mx.int32) << 23)).view(mx.float32)


@_exp.vjp
def _gradient(primals: mx.array, cotangents: mx.array, outputs: mx.array) -> mx.array:
    return cotangents * outputs


def sigmoid(x: mx.array) -> mx.array:
    """Return 1 / (1 + e^-x)."""
    if not _is_ours(x):
        return mx.sigmoid(x)
    return 1.0 / (1.0 + exp(-x))


def softmax(x: mx.array) -> mx.array:
    """Return e^x by its sum along the last axis."""
    if not _is_ours(x):
        return mx.softmax(x, axis=-1)
    raised = exp(x - x.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def attention(q: mx.array, k: mx.array, v: mx.array) -> mx.array:
    """Return softmax(q k' / sqrt(d)) v of (n, heads, tokens, d) each."""
    scale = q.shape[-1] ** -0.5
    if not _is_ours(q):
        return mx.fast.scaled_dot_product_attention(q, k, v, scale=scale)
    return softmax((q * scale) @ k.swapaxes(-1, -2)) @ v


def normal_distribution(x: mx.array) -> mx.array:
    """Return the normal distribution function at x, to 2e-7 (Abramowitz and Stegun, 7.1.26)."""
    if not _is_ours(x):
        return 0.5 * (1 + mx.erf(x / math.sqrt(2)))
    size = mx.abs(x) / math.sqrt(2)
    t = 1.0 / (1.0 + 0.3275911 * size)
    tail = mx.array(1.061405429, mx.float32)
    for term in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        tail = tail * t + term
    tail = 0.5 * tail * t * exp(-size * size)
    return mx.where(x < 0, tail, 1.0 - tail)
