"""Frozen layers neither learn nor move their statistics."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
import pytest
from mlx.utils import tree_flatten

from d2f.models import ResNet, SmallVGG, arrays_of, freeze, resnet_shape


def step(model: nn.Module, side: int = 32) -> None:
    """Train a network for one step on noise."""
    drawn = np.random.default_rng(4)
    x, labels = mx.array(drawn.uniform(size=(4, side, side, 3)).astype(np.float32)), mx.array([0.0, 1.0, 0.0, 1.0])
    model.train()
    optimiser = optim.SGD(0.1)
    lost = nn.value_and_grad(model, lambda x: nn.losses.binary_cross_entropy(model(x), labels))
    optimiser.update(model, lost(x)[1])
    mx.eval(model.parameters())


def moved(model: nn.Module, side: int = 32) -> set[str]:
    """Return the layers whose arrays a step of training changes."""
    before = arrays_of(model)
    step(model, side)
    after = arrays_of(model)
    assert before.keys() == after.keys()
    changed = [name for name in before if not np.array_equal(before[name], after[name])]
    return {
        ".".join(name.split(".")[: 2 if name.startswith(("stages", "blocks", "hidden")) else 1]) for name in changed
    }


def test_the_whole_backbone() -> None:
    model = ResNet(resnet_shape(20))
    assert freeze(model) == ["stem", "stem_norm", "stages.0", "stages.1", "stages.2"]
    assert moved(model) == {"head"}


@pytest.mark.parametrize("until", ["layer3", "stages.2"])
def test_from_a_named_layer_on(until: str) -> None:
    model = ResNet(resnet_shape(20))
    freeze(model, until)
    assert moved(model) == {"stages.2", "head"}


def test_vgg() -> None:
    model = SmallVGG(dropout=0.0)
    assert freeze(model, "hidden.1") == ["blocks.0", "blocks.1", "blocks.2", "hidden.0"]
    assert moved(model, 28) == {"hidden.1", "head"}


def test_nothing_frozen() -> None:
    model = ResNet(resnet_shape(20))
    assert freeze(model, "stem") == []
    assert moved(model) == {"stem", "stem_norm", "stages.0", "stages.1", "stages.2", "head"}


def test_the_network_computes_what_it_did() -> None:
    model = ResNet(resnet_shape(20)).eval()
    x = mx.array(np.random.default_rng(5).uniform(size=(2, 32, 32, 3)).astype(np.float32))
    before = model(x)
    freeze(model, "head")
    assert mx.array_equal(model.eval()(x), before)
    # In training too: all that is left to the batch is the head.
    np.testing.assert_allclose(np.array(model.train()(x)), np.array(before), atol=1e-5)
    assert [name for name, _ in tree_flatten(model.trainable_parameters())] == ["head.weight", "head.bias"]


def test_an_unknown_layer() -> None:
    with pytest.raises(ValueError, match=r"no layer 'stages\.7': .*stages\.2"):
        freeze(ResNet(resnet_shape(20)), "stages.7")
