"""Batch norm, relu and pieces of a batch give what mlx.nn gives for the whole."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2f.layers import BatchNorm, Conv2d, MaxPool2d, Pieces, join, relu, split
from d2f.mlx_cpu import parallel as pieces_module
from tests.unit.mlx_cpu.nearness import assert_near


def _numbers(shape: tuple[int, ...], seed: int = 0, mean: float = 0.0) -> Any:
    return mx.array((mean + np.random.default_rng(seed).standard_normal(shape)).astype(np.float32))


@pytest.fixture
def two_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    both = (mx.default_stream(mx.cpu), mx.new_stream(mx.cpu))
    monkeypatch.setattr(pieces_module, "streams", lambda: both)
    monkeypatch.setattr(pieces_module, "on_this_cpu", lambda: True)


def _step(norm: Any, x: Any, cotangent: Any, call: Any) -> list[Any]:
    """Return output, gradients and running statistics of a training step."""

    def run(x: Any, weight: Any, bias: Any) -> Any:
        norm.weight, norm.bias = weight, bias
        return call(norm, x)

    (y,), gradients = mx.vjp(run, [x, norm.weight, norm.bias], [cotangent])
    return [y, *gradients, norm.running_mean, norm.running_var]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    images=st.integers(1, 5), height=st.integers(1, 12), width=st.integers(2, 12), channels=st.integers(1, 20),
    mean=st.sampled_from([0.0, 3.0, -30.0]), momentum=st.sampled_from([0.1, 0.5]),
)  # fmt: skip
def test_batch_norm_is_mlx_nns(
    images: int, height: int, width: int, channels: int, mean: float, momentum: float
) -> None:
    shape = (images, height, width, channels)
    x, cotangent = _numbers(shape, 1, mean), _numbers(shape, 2)
    steps = []
    for norm in (BatchNorm(channels, momentum=momentum), nn.BatchNorm(channels, momentum=momentum)):
        norm.weight, norm.bias = _numbers((channels,), 3), _numbers((channels,), 4)
        steps.append(_step(norm, x, cotangent, lambda norm, x: norm(x)))
    # With two values a channel the gradient is a difference of equals, which rounding makes up to a hundredth.
    tolerance = 1e-5 * max(1.0, abs(mean)) * (1 if images * height * width > 16 else 1000)
    for found, expected in zip(*steps, strict=True):
        assert_near(found, expected, tolerance)


def test_batch_norm_in_evaluation_is_mlx_nns() -> None:
    x = _numbers((3, 5, 4, 7), 1, 2.0)
    for options in ({}, {"affine": False}, {"track_running_stats": False}):
        ours, theirs = BatchNorm(7, **options), nn.BatchNorm(7, **options)
        for _ in range(3):
            ours(x), theirs(x)
        assert_near(ours.eval()(x), theirs.eval()(x))


@pytest.mark.parametrize("shape", [(6, 7), (3, 5, 7)])
def test_batch_norm_of_other_ranks_is_mlx_nns(shape: tuple[int, ...]) -> None:
    ours, theirs = BatchNorm(7), nn.BatchNorm(7)
    assert_near(ours(_numbers(shape)), theirs(_numbers(shape)))


def test_batch_norm_of_one_value_is_refused_in_training() -> None:
    with pytest.raises(ValueError, match="more than one value"):
        BatchNorm(3)(mx.zeros((1, 1, 1, 3)))


def test_relu_is_mlx_nns() -> None:
    x, cotangent = mx.array([[-1.0, 0.0, 2.0, -0.0]]), mx.array([[1.0, 2.0, 3.0, 4.0]])
    found, expected = (mx.vjp(function, [x], [cotangent]) for function in (relu, nn.relu))
    assert mx.array_equal(found[0][0], expected[0][0])
    assert mx.array_equal(found[1][0], expected[1][0])


class _Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.pool = Conv2d(3, 20, 3, padding=1), BatchNorm(20), MaxPool2d(2)
        self.second = Conv2d(20, 20, 3, padding=1)
        self.head = nn.Linear(20, 1)

    def __call__(self, x: Any) -> Any:
        y = self.pool(relu(self.norm(self.first(x))))
        return self.head(join(y + self.second(y)).mean((1, 2)))


@pytest.mark.usefixtures("two_streams")
@pytest.mark.parametrize("images", [2, 5])
def test_pieces_give_what_the_whole_batch_gives(images: int) -> None:
    x, network = _numbers((images, 10, 12, 3)), _Network()
    network.first.bias = _numbers((20,), 5)
    statistics, losses, gradients = [], [], []
    for cut in (lambda x: x, split):
        network.norm.running_mean, network.norm.running_var = mx.zeros(20), mx.ones(20)
        value, gradient = nn.value_and_grad(network, lambda model, x: mx.square(model(x)).sum())(network, cut(x))
        losses.append(value)
        gradients.append(gradient)
        statistics.append((network.norm.running_mean, network.norm.running_var))
    assert isinstance(split(x), Pieces)
    assert_near(losses[1], losses[0])
    for one, other in zip(*statistics, strict=True):
        assert_near(one, other)
    flat = [dict(nn.utils.tree_flatten(tree)) for tree in gradients]
    for name in flat[0]:
        # Ahead of a batch norm a bias has no gradient but rounding.
        assert_near(flat[1][name], flat[0][name], 1e-4 if name != "first.bias" else 1e9)


@pytest.mark.usefixtures("two_streams")
def test_a_batch_of_one_is_not_cut() -> None:
    assert isinstance(split(mx.zeros((1, 4, 4, 3))), mx.array)
    assert isinstance(split(mx.zeros((2, 4, 4, 3))), Pieces)
    assert [piece.shape[0] for piece in split(mx.zeros((5, 4, 4, 3))).arrays] == [2, 3]
    assert join(split(mx.arange(20).reshape(5, 1, 1, 4))).tolist() == mx.arange(20).reshape(5, 1, 1, 4).tolist()


def test_off_makes_them_mlx_nns_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from d2f.mlx_cpu.parallel import on_this_cpu

    monkeypatch.setenv("D2F_LAYERS", "off")
    assert not on_this_cpu()
