"""The cases in MLX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optimizers
import numpy as np
from mlx.utils import tree_flatten, tree_unflatten

from d2f.layers import Conv2d, fold_batch_norm, join, parallel, split
from d2f.models import ResNet
from tests.benchmarks.speed.cases import NETWORKS, Case
from tests.benchmarks.speed.numbers import draw, map_and_weight, parameter, pictures

Work = Callable[[], list[np.ndarray]]


def build(case: Case) -> tuple[Callable[[], Any], Callable[[Any], list[np.ndarray]]]:
    """Return the work, and what makes numpy arrays (in MLX's order of axes) of its result."""
    made = {
        ("product", "forward"): _product,
        ("convolution", "forward"): _convolution,
        ("convolution", "forward and backward"): _convolution_and_gradients,
        ("network", "inference"): _inference,
        ("network", "training step"): _training_step,
    }[case.kind, case.work](case)
    return made, lambda result: [np.array(array) for array in result]


def _product(case: Case) -> Callable[[], Any]:
    left, right = (mx.array(draw(name, (case.what[0],) * 2)) for name in ("left", "right"))
    return lambda: _evaluated(left @ right)


def _layer(case: Case) -> tuple[Conv2d, mx.array]:
    _, into, out, kernel, stride, margin = case.what
    x, weight = map_and_weight(case)
    layer = Conv2d(into, out, kernel, stride, margin, bias=False)
    layer.weight = mx.array(weight)
    return layer, mx.array(x)


def _convolution(case: Case) -> Callable[[], Any]:
    layer, x = _layer(case)
    layer.eval()
    return lambda: [parallel(layer, x)]


def _convolution_and_gradients(case: Case) -> Callable[[], Any]:
    layer, x = _layer(case)
    weight = layer.weight

    def run(weight: mx.array, x: mx.array) -> mx.array:
        layer.weight = weight
        return join(layer(split(x)))

    cotangent = mx.array(draw("cotangent", run(weight, x).shape))
    # The first convolution's input is the picture, of which nobody wants a gradient.
    wanted = [weight, x] if x.shape[-1] > 3 else [weight]
    function = run if len(wanted) == 2 else lambda weight: run(weight, x)

    def work() -> list[mx.array]:
        values, gradients = mx.vjp(function, wanted, [cotangent])
        return _evaluated(*values, *gradients)

    return work


def _network(case: Case) -> tuple[ResNet, mx.array]:
    network = ResNet(NETWORKS[case.what[0]])
    names = tree_flatten(network.parameters())
    network.update(tree_unflatten([(name, mx.array(parameter(name, value.shape))) for name, value in names]))
    return network, mx.array(pictures(case))


def _inference(case: Case) -> Callable[[], Any]:
    network, x = _network(case)
    folded = fold_batch_norm(network)
    return lambda: [parallel(folded, x)]


def _training_step(case: Case) -> Callable[[], Any]:
    network, x = _network(case)
    labels = (mx.arange(case.batch) % 2).astype(mx.float32)
    optimizer = optimizers.SGD(learning_rate=0.01, momentum=0.9)

    def loss(model: ResNet, x: mx.array) -> mx.array:
        return nn.losses.binary_cross_entropy(model(x), labels, with_logits=True, reduction="mean")

    step = nn.value_and_grad(network, loss)

    def work() -> list[mx.array]:
        value, gradients = step(network, x)
        optimizer.update(network, gradients)
        mx.eval(value, network.parameters(), optimizer.state)
        return [value, network.head.weight]

    return work


def _evaluated(*arrays: mx.array) -> list[mx.array]:
    mx.eval(*arrays)
    return list(arrays)
