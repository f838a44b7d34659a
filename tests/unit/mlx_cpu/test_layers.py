"""Layers have mlx.nn's values and gradients, folded ones too; so has the exponential, and what is made of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlx.utils import tree_flatten

from d2f.layers import AvgPool2d, BatchNorm, Conv2d, MaxPool2d, Pieces, fold_batch_norm, join, relu, split
from d2f.mlx_cpu import exponential
from d2f.mlx_cpu import parallel as pieces_module
from d2f.mlx_cpu.exponential import attention, exp, normal_distribution, sigmoid, softmax
from d2f.models.vit import ACTIVATIONS, Block, ViT, ViTShape
from tests.unit.mlx_cpu.nearness import assert_near

# Batch norm, relu and pieces of a batch give what mlx.nn gives for the whole.


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


# Folded networks compute what the training model computes in evaluation, and leave it alone.


def _drawn(shape: tuple[int, ...], seed: int) -> Any:
    return mx.array(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def _lived(norm: Any, seed: int) -> Any:
    """Return a batch norm with parameters and statistics as after some training."""
    channels = norm.running_mean.size
    if "weight" in norm:
        norm.weight, norm.bias = _drawn((channels,), seed), _drawn((channels,), seed + 1)
    norm.running_mean, norm.running_var = (
        _drawn((channels,), seed + 2),
        mx.abs(_drawn((channels,), seed + 3)) + 0.1,
    )
    return norm


class _Block(nn.Module):
    folds = (("conv", "norm"), ("linear", "last"))

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = Conv2d(5, 16, 3, padding=1), _lived(BatchNorm(16), 10)
        self.pool = MaxPool2d(2)
        self.linear, self.last = nn.Linear(16, 4), _lived(nn.BatchNorm(4, affine=False), 20)

    def __call__(self, x: Any) -> Any:
        return self.last(self.linear(self.pool(relu(self.norm(self.conv(x)))).mean((1, 2))))


def _network() -> Any:
    return nn.Sequential(Conv2d(3, 5, 3, bias=False), _lived(BatchNorm(5), 1), relu, _Block())


def test_the_folded_network_computes_the_same() -> None:
    network, x = _network(), _drawn((2, 9, 11, 3), 0)
    before = {name: np.array(value) for name, value in tree_flatten(network.parameters())}
    folded = fold_batch_norm(network)
    assert network.training
    assert not folded.training
    assert_near(folded(x), network.eval()(x))
    kinds = [type(module).__name__ for module in folded.modules()]
    assert "BatchNorm" not in kinds
    assert kinds.count("Identity") == 3
    after = dict(tree_flatten(network.parameters()))
    assert after.keys() == before.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_norm_without_statistics_and_one_behind_a_relu_stay() -> None:
    no_statistics = nn.Sequential(Conv2d(3, 4, 3), BatchNorm(4, track_running_stats=False))
    behind = nn.Sequential(Conv2d(3, 4, 3), nn.ReLU(), BatchNorm(4))
    for network in (no_statistics, behind):
        x = _drawn((2, 6, 6, 3), 0)
        folded = fold_batch_norm(network)
        assert_near(folded(x), network.eval()(x))
        assert any(isinstance(module, nn.BatchNorm) for module in folded.modules())


def test_training_goes_on_in_the_model_alone() -> None:
    network, x = _network(), _drawn((2, 9, 11, 3), 0)
    folded = fold_batch_norm(network)
    expected = folded(x)
    network.train()(x + 1)
    network.layers[0].weight = network.layers[0].weight * 2
    assert mx.array_equal(folded(x), expected)


# Pooling has mlx.nn's values and gradients, ties included; ceil mode is a definition written out.

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


# The exponential, and what is made of it, has MLX's values and gradients.


@pytest.fixture
def for_this_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exponential, "on_this_cpu", lambda: True)


@pytest.fixture
def numbers() -> mx.array:
    return mx.array((20 * np.random.default_rng(1).standard_normal((3, 5, 257))).astype(np.float32))


def _by_mlx(monkeypatch: pytest.MonkeyPatch, call: Callable[[], mx.array]) -> Any:
    with monkeypatch.context() as patch:
        patch.setattr(exponential, "on_this_cpu", lambda: False)
        return np.array(call())


@pytest.mark.usefixtures("for_this_cpu")
def test_exp_is_as_exact_as_it_says() -> None:
    x = np.linspace(-87, 88, 100_001, dtype=np.float32)
    off = np.array(exp(mx.array(x))) / np.exp(x.astype(np.float64)) - 1
    assert np.all(np.abs(off) < (2 + np.abs(x)) * 1e-7)


@pytest.mark.usefixtures("for_this_cpu")
@pytest.mark.parametrize(("x", "least", "most"), [(-1e9, 0, 2e-38), (-np.inf, 0, 2e-38), (1e9, 1e38, np.inf)])
def test_exp_ends_where_floats_do(x: float, least: float, most: float) -> None:
    assert least <= exp(mx.array(x, mx.float32)).item() <= most


@pytest.mark.usefixtures("for_this_cpu")
def test_exp_keeps_what_is_no_number() -> None:
    assert np.isnan(exp(mx.array(np.nan, mx.float32)).item())
    assert np.isnan(np.array(softmax(mx.array([0.0, np.nan])))).any()


@pytest.mark.usefixtures("for_this_cpu")
def test_exps_gradient_is_itself(numbers: mx.array) -> None:
    _, (gradient,) = mx.vjp(exp, [numbers], [mx.ones_like(numbers)])
    assert_near(gradient, exp(numbers), 1e-7)


@pytest.mark.usefixtures("for_this_cpu")
@pytest.mark.parametrize("function", [sigmoid, softmax, normal_distribution, *ACTIVATIONS.values()])
def test_functions_have_mlx_values_and_gradients(
    function: Callable[[mx.array], mx.array], numbers: mx.array, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_near(function(numbers), _by_mlx(monkeypatch, lambda: function(numbers)), 2e-6)
    cotangent = mx.cos(numbers)
    (found,) = mx.vjp(function, [numbers], [cotangent])[1]
    assert_near(found, _by_mlx(monkeypatch, lambda: mx.vjp(function, [numbers], [cotangent])[1][0]), 1e-5)


@pytest.mark.usefixtures("for_this_cpu")
def test_attention_is_mlx_own(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v = (mx.random.normal((2, 3, tokens, 8), key=mx.random.key(tokens)) for tokens in (4, 7, 7))
    assert_near(attention(q, k, v), _by_mlx(monkeypatch, lambda: attention(q, k, v)), 1e-5)


@pytest.mark.usefixtures("for_this_cpu")
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
