"""The exponential, and what is made of it, has MLX's values and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from d2f.mlx_cpu import exponential
from d2f.mlx_cpu.exponential import attention, exp, normal_distribution, sigmoid, softmax
from d2f.models.vit import ACTIVATIONS, Block, ViT, ViTShape
from tests.unit.mlx_cpu.nearness import assert_near


@pytest.fixture(autouse=True)
def on_this_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exponential, "on_this_cpu", lambda: True)


@pytest.fixture
def numbers() -> mx.array:
    return mx.array((20 * np.random.default_rng(1).standard_normal((3, 5, 257))).astype(np.float32))


def _by_mlx(monkeypatch: pytest.MonkeyPatch, call: Callable[[], mx.array]) -> Any:
    with monkeypatch.context() as patch:
        patch.setattr(exponential, "on_this_cpu", lambda: False)
        return np.array(call())


def test_exp_is_as_exact_as_it_says() -> None:
    x = np.linspace(-87, 88, 100_001, dtype=np.float32)
    off = np.array(exp(mx.array(x))) / np.exp(x.astype(np.float64)) - 1
    assert np.all(np.abs(off) < (2 + np.abs(x)) * 1e-7)


@pytest.mark.parametrize(("x", "least", "most"), [(-1e9, 0, 2e-38), (-np.inf, 0, 2e-38), (1e9, 1e38, np.inf)])
def test_exp_ends_where_floats_do(x: float, least: float, most: float) -> None:
    assert least <= exp(mx.array(x, mx.float32)).item() <= most


def test_exp_keeps_what_is_no_number() -> None:
    assert np.isnan(exp(mx.array(np.nan, mx.float32)).item())
    assert np.isnan(np.array(softmax(mx.array([0.0, np.nan])))).any()


def test_exps_gradient_is_itself(numbers: mx.array) -> None:
    _, (gradient,) = mx.vjp(exp, [numbers], [mx.ones_like(numbers)])
    assert_near(gradient, exp(numbers), 1e-7)


@pytest.mark.parametrize("function", [sigmoid, softmax, normal_distribution, *ACTIVATIONS.values()])
def test_functions_have_mlx_values_and_gradients(
    function: Callable[[mx.array], mx.array], numbers: mx.array, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_near(function(numbers), _by_mlx(monkeypatch, lambda: function(numbers)), 2e-6)
    cotangent = mx.cos(numbers)
    (found,) = mx.vjp(function, [numbers], [cotangent])[1]
    assert_near(found, _by_mlx(monkeypatch, lambda: mx.vjp(function, [numbers], [cotangent])[1][0]), 1e-5)


def test_attention_is_mlx_own(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v = (mx.random.normal((2, 3, tokens, 8), key=mx.random.key(tokens)) for tokens in (4, 7, 7))
    assert_near(attention(q, k, v), _by_mlx(monkeypatch, lambda: attention(q, k, v)), 1e-5)


def test_the_last_block_computes_no_more_than_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    network = ViT(ViTShape(32, 8, width=16, depth=3, heads=2, hidden=32))
    x = mx.random.uniform(shape=(2, 32, 32, 3), key=mx.random.key(3))
    whole = network.after(x, (1, 3))
    computed: list[int] = []
    inner = Block.__call__

    def call(self: Block, *given: Any) -> mx.array:
        made = inner(self, *given)
        computed.append(made.shape[1])
        return made

    monkeypatch.setattr(Block, "__call__", call)
    for found, expected in zip(network.after(x, (1, 3), first=1), whole, strict=True):
        assert_near(found, expected[:, :1])
    assert computed == [17, 17, 1]
