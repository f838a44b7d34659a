"""The networks whose outputs are held: shapes of their state dicts, pictures, and how d2f runs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from d2f.models import VGG, ResNet, SmallVGG, VGGShape, build_model, from_published, load_arrays, resnet_shape
from d2f.models.config import VGG_DEPTHS, shapes
from d2f.models.published import COUNTER, vgg_arrays
from tests.unit.models import numpy_forward, state_dicts
from tests.unit.models.seeded import Array, pictures, state_dict

THINNER, HIDDEN = 8, 64


@dataclass(frozen=True)
class Case:
    """A network with seeded weights: `state` in the words of whoever published it, channels first."""

    name: str
    shape: tuple[int, ...]
    state: Callable[[], dict[str, Array]]
    model: Callable[[dict[str, Array]], nn.Module]
    reference: Callable[[Array, dict[str, Array]], Array]

    def outputs(self) -> Array:
        """Return d2f's logits."""
        model = self.model(self.state()).eval()
        x = mx.array(pictures(self.name, self.shape).transpose(0, 2, 3, 1))
        return np.array(model(x))


def _published(state: dict[str, Array]) -> nn.Module:
    found = from_published(state, "torchvision")
    model = build_model(found.config)
    load_arrays(model, found.arrays)
    return model


def _imagenet(depth: int, side: int) -> Case:
    @cache
    def state() -> dict[str, Array]:
        return state_dict(state_dicts.resnet(depth))

    return Case(f"resnet-{depth}", (2, 3, side, side), state, _published, numpy_forward.imagenet_resnet)


def _thin_vgg(depth: int, batch_norm: bool, side: int) -> Case:
    @cache
    def state() -> dict[str, Array]:
        return state_dict(state_dicts.vgg(depth, batch_norm, 10, THINNER, HIDDEN))

    def model(state: dict[str, Array]) -> nn.Module:
        widths = [int(word) // THINNER for word in state_dicts.VGG_LAYERS[depth].split() if word != "M"]
        ends = np.cumsum((0, *VGG_DEPTHS[depth]))
        blocks = tuple(tuple(widths[start:end]) for start, end in pairwise(ends))
        made = VGG(VGGShape(blocks, (HIDDEN, HIDDEN), batch_norm=batch_norm, logits=10))
        load_arrays(
            made, vgg_arrays({key: one for key, one in state.items() if not key.endswith(COUNTER)}, "torchvision")
        )
        return made

    name = f"thin-vgg-{depth}{'-bn' if batch_norm else ''}"
    return Case(name, (2, 3, side, side), state, model, lambda x, held: numpy_forward.vgg(x, held, depth))


def _ours(
    name: str, make: Callable[[], nn.Module], side: int, reference: Callable[[Array, dict[str, Array]], Array]
) -> Case:
    @cache
    def state() -> dict[str, Array]:
        last = {key: (shape[0], shape[-1], *shape[1:-1]) for key, shape in shapes(make()).items() if len(shape) == 4}
        return state_dict({**shapes(make()), **last})

    def model(state: dict[str, Array]) -> nn.Module:
        made = make()
        load_arrays(made, {key: a.transpose(0, 2, 3, 1) if a.ndim == 4 else a for key, a in state.items()})
        return made

    return Case(name, (2, 3, side, side), state, model, reference)


def _cifar(depth: int, residual: bool) -> Case:
    def reference(x: Array, state: dict[str, Array]) -> Array:
        return numpy_forward.cifar_resnet(x, state, (depth - 2) // 6, plain=not residual)

    name = f"{'resnet' if residual else 'plain'}-{depth}"
    return _ours(name, lambda: ResNet(resnet_shape(depth, logits=10, residual=residual)), 32, reference)


CASES = (
    _imagenet(18, 64),
    _imagenet(34, 40),
    _imagenet(50, 40),
    _cifar(20, True),
    _cifar(32, False),
    _thin_vgg(11, False, 224),
    _thin_vgg(16, True, 100),
    _ours("small-vgg", lambda: SmallVGG(logits=10), 28, numpy_forward.small_vgg),
)
