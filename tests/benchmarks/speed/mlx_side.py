"""The cases in MLX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optimizers
import numpy as np

from d2f.layers import Conv2d, fold_batch_norm, join, parallel, split
from tests.benchmarks.speed.cases import Case, network_of
from tests.benchmarks.speed.networks import fresh
from tests.benchmarks.speed.numbers import draw, map_and_weight, pictures

Work = Callable[[], list[mx.array]]


def build(case: Case) -> tuple[Work, Callable[[Any], list[np.ndarray]]]:
    """Return the work, and what makes numpy arrays (in MLX's order of axes) of its result."""
    made = {
        ("product", "forward"): _product,
        ("precision", "forward"): _precision,
        ("convolution", "forward"): _convolution,
        ("convolution", "forward and backward"): _convolution_and_gradients,
        ("network", "inference"): _inference,
        ("network", "training step"): _training_step,
    }[case.kind, case.work](case)
    return made, lambda result: [np.array(array.astype(mx.float32)) for array in result]


def _product(case: Case) -> Work:
    left, right = (mx.array(draw(name, (case.what[0],) * 2)) for name in ("left", "right"))
    return lambda: _evaluated(left @ right)


def _precision(case: Case) -> Work:
    kind, *what = case.what
    if len(what) == 1:
        left, right = (mx.array(draw(name, (what[0],) * 2)).astype(getattr(mx, kind)) for name in ("left", "right"))
        mx.eval(left, right)
        return lambda: _evaluated(left @ right)
    layer, x = _layer(tuple(what), case.batch)
    layer.set_dtype(getattr(mx, kind))
    x = x.astype(getattr(mx, kind))
    mx.eval(layer.parameters(), x)
    return lambda: _evaluated(layer(x))


def _layer(shape: tuple[int, ...], batch: int) -> tuple[Conv2d, mx.array]:
    _, into, out, kernel, stride, margin = shape
    x, weight = map_and_weight(shape, batch)
    layer = Conv2d(into, out, kernel, stride, margin, bias=False)
    layer.weight = mx.array(weight)
    layer.eval()
    return layer, mx.array(x)


def _convolution(case: Case) -> Work:
    layer, x = _layer(case.what, case.batch)
    return lambda: [parallel(layer, x)]


def _convolution_and_gradients(case: Case) -> Work:
    layer, x = _layer(case.what, case.batch)
    layer.train()
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


def _inference(case: Case) -> Work:
    folded, x = fold_batch_norm(fresh(network_of(case))), mx.array(pictures(case))
    return lambda: [parallel(folded, x)]


def _training_step(case: Case) -> Work:
    network, x = fresh(network_of(case)), mx.array(pictures(case))
    labels = (mx.arange(case.batch) % 2).astype(mx.float32)
    optimizer = optimizers.SGD(learning_rate=0.01, momentum=0.9)

    def loss(model: nn.Module, x: mx.array) -> mx.array:
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
