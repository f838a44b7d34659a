"""Folded networks compute what the training model computes in evaluation, and leave it alone."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten

from d2f.layers import BatchNorm, Conv2d, MaxPool2d, fold_batch_norm, relu
from tests.unit.mlx_cpu.nearness import assert_near


def _numbers(shape: tuple[int, ...], seed: int) -> Any:
    return mx.array(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def _lived(norm: Any, seed: int) -> Any:
    """Return a batch norm with parameters and statistics as after some training."""
    channels = norm.running_mean.size
    if "weight" in norm:
        norm.weight, norm.bias = _numbers((channels,), seed), _numbers((channels,), seed + 1)
    norm.running_mean, norm.running_var = _numbers((channels,), seed + 2), mx.abs(_numbers((channels,), seed + 3)) + 0.1
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
    network, x = _network(), _numbers((2, 9, 11, 3), 0)
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
        x = _numbers((2, 6, 6, 3), 0)
        folded = fold_batch_norm(network)
        assert_near(folded(x), network.eval()(x))
        assert any(isinstance(module, nn.BatchNorm) for module in folded.modules())


def test_training_goes_on_in_the_model_alone() -> None:
    network, x = _network(), _numbers((2, 9, 11, 3), 0)
    folded = fold_batch_norm(network)
    expected = folded(x)
    network.train()(x + 1)
    network.layers[0].weight = network.layers[0].weight * 2
    assert mx.array_equal(folded(x), expected)
