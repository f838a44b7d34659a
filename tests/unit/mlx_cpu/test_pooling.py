"""Pooling has mlx.nn's values and gradients, ties included; ceil mode is a definition written out."""

from __future__ import annotations

import math
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2f.layers import AvgPool2d, MaxPool2d
from tests.unit.mlx_cpu.nearness import assert_near

pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    kernel=pairs, stride=pairs, margin=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    height=st.integers(4, 15), width=st.integers(4, 15), seed=st.integers(0, 99),
)  # fmt: skip
def test_values_and_gradients_are_mlx_nns(
    kernel: tuple[int, int], stride: tuple[int, int], margin: tuple[int, int], height: int, width: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    # Whole numbers, so that there are ties.
    x = mx.array(random.integers(-2, 3, (2, height, width, 5)).astype(np.float32))
    margin = (min(margin[0], kernel[0] // 2), min(margin[1], kernel[1] // 2))
    for ours, theirs in ((MaxPool2d, nn.MaxPool2d), (AvgPool2d, nn.AvgPool2d)):
        found, expected = ours(kernel, stride, margin), theirs(kernel, stride, margin)
        cotangent = mx.array(random.standard_normal(expected(x).shape).astype(np.float32))
        (y,), (by_x,) = mx.vjp(found, [x], [cotangent])
        (their_y,), (their_by_x,) = mx.vjp(expected, [x], [cotangent])
        assert_near(y, their_y, 1e-6)
        assert_near(by_x, their_by_x, 1e-6)


def _ceil_pool(x: np.ndarray, kernel: int, stride: int, margin: int) -> np.ndarray:
    """Maximum pooling with as many places as begin inside the map or its first margin, by its definition."""
    places = []
    for size in x.shape[1:3]:
        count = math.ceil((size + 2 * margin - kernel) / stride) + 1
        places.append(count - 1 if (count - 1) * stride >= size + margin else count)
    out = np.empty((x.shape[0], *places, x.shape[3]), np.float32)
    for i, j in np.ndindex(*places):
        top, left = i * stride - margin, j * stride - margin
        part = x[:, max(0, top) : top + kernel, max(0, left) : left + kernel]
        out[:, i, j] = part.max((1, 2))
    return out


@pytest.mark.parametrize(("kernel", "stride", "margin"), [(4, 4, 0), (3, 2, 1), (2, 2, 0), (3, 3, 1), (2, 3, 1)])
@pytest.mark.parametrize("size", [(7, 7), (28, 6), (5, 10), (2, 8)])
def test_ceil_mode(kernel: int, stride: int, margin: int, size: tuple[int, int]) -> None:
    if min(size) + 2 * margin < kernel:
        size = (kernel, kernel)
    x = np.random.default_rng(0).standard_normal((2, *size, 3)).astype(np.float32)
    pool = MaxPool2d(kernel, stride, margin, ceil_mode=True)
    expected = _ceil_pool(x, kernel, stride, margin)
    assert np.array_equal(np.array(pool(mx.array(x))), expected)
    # Each output's gradient is 1: every pixel receives as many as it is the largest of.
    received = np.array(mx.grad(lambda x: pool(x).sum())(mx.array(x)))
    assert received.sum() == pytest.approx(expected.size)
    assert np.all(received[~np.isin(x, expected)] == 0)


def test_ceil_mode_on_another_device(monkeypatch: pytest.MonkeyPatch) -> None:
    from d2f.mlx_cpu import layers

    x: Any = np.random.default_rng(1).standard_normal((1, 7, 9, 2)).astype(np.float32)
    monkeypatch.setattr(layers, "on_this_cpu", lambda: False)
    for kernel, stride, margin in ((4, 4, 0), (3, 2, 1)):
        pool = MaxPool2d(kernel, stride, margin, ceil_mode=True)
        assert np.array_equal(np.array(pool(mx.array(x))), _ceil_pool(x, kernel, stride, margin))


def test_28_to_7_to_2_to_1() -> None:
    x = mx.zeros((1, 28, 28, 4))
    sizes = []
    for kernel in (4, 4, 2):
        x = MaxPool2d(kernel, ceil_mode=True)(x)
        sizes.append(x.shape[1:3])
    assert sizes == [(7, 7), (2, 2), (1, 1)]
