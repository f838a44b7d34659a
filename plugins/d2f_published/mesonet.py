"""MesoNet (Afchar and others 2018, arXiv:1809.00888): Meso4 and MesoInception4, out of Keras' files.

A layer is known by its kind and its place among those of its kind, which Keras' numbers follow. Batch norm comes after
max(x, 0) and adds 1e-3 to a variance. The authors' output is the probability of `real`; its logit is turned here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

import mlx.core as mx
import mlx.nn as nn

from d2f import D2FError, Exit, Problem
from d2f.layers import BatchNorm, Conv2d, MaxPool2d, relu
from d2f.models import load_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]

EPSILON = 1e-3
LEAK = 0.1
HIDDEN = 16
SIDE = 256
INCEPTION = ((1, 4, 4, 2), (2, 4, 4, 2))
"""Channels of the four branches of the first two layers of MesoInception4."""

POOLS = (2, 2, 2, 4)


class Inception(nn.Module):
    """Four branches side by side: 1x1; and 1x1 followed by 3x3 with a dilation of 1, 2 and 3."""

    def __init__(self, channels: int, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        first, *others = widths
        self.convolutions = [Conv2d(channels, first, 1)]
        for dilation, width in enumerate(others, start=1):
            self.convolutions += [
                Conv2d(channels, width, 1),
                Conv2d(width, width, 3, padding=dilation, dilation=dilation),
            ]

    def __call__(self, x: mx.array) -> mx.array:
        """Return the branches' maps joined."""
        first, *others = self.convolutions
        branches = [relu(second(relu(one(x)))) for one, second in zip(others[::2], others[1::2], strict=True)]
        return mx.concatenate([relu(first(x)), *branches], axis=-1)


class Plain(nn.Module):
    """One convolution that keeps the map's size, and max(x, 0)."""

    def __init__(self, channels: int, width: int, kernel: int) -> None:
        super().__init__()
        self.convolutions = [Conv2d(channels, width, kernel, padding=kernel // 2)]

    def __call__(self, x: mx.array) -> mx.array:
        """Return the map (n, height, width, width of the layer)."""
        return relu(self.convolutions[0](x))


class Meso(nn.Module):
    """Four layers, each with batch norm and a maximum, and two linear ones."""

    def __init__(self, inception: bool) -> None:
        super().__init__()
        first: list[nn.Module] = [Plain(3, 8, 3), Plain(8, 8, 5)]
        widths = (8, 8, 16, 16)
        if inception:
            first = [Inception(3, INCEPTION[0]), Inception(sum(INCEPTION[0]), INCEPTION[1])]
            widths = (sum(INCEPTION[0]), sum(INCEPTION[1]), 16, 16)
        self.layers = [*first, Plain(widths[1], 16, 5), Plain(16, 16, 5)]
        self.norms = [BatchNorm(width, EPSILON) for width in widths]
        self.pools = [MaxPool2d(size, size) for size in POOLS]
        self.hidden, self.head = nn.Linear(16 * (SIDE // 32) ** 2, HIDDEN), nn.Linear(HIDDEN, 1)

    def __call__(self, x: mx.array) -> mx.array:
        """Return the logit of `real`, (n,), of pictures (n, 256, 256, 3) in [0, 1]."""
        for layer, norm, pool in zip(self.layers, self.norms, self.pools, strict=True):
            x = pool(norm(layer(x)))
        y = self.hidden(x.reshape(x.shape[0], -1))
        logits: mx.array = self.head(mx.maximum(y, LEAK * y))[:, 0]
        return logits


def network(states: Sequence[Mapping[str, NDArray[Any]]], options: Any, name: str) -> Callable[[mx.array], mx.array]:
    """Return the network: pictures (n, 256, 256, 3) in [0, 1] to logits of `generated` (n,)."""
    layers = _layers(states[0])
    inception = len(layers.get("conv2d", ())) > len(POOLS)
    model = Meso(inception)
    try:
        arrays = dict(_arrays(layers, model))
    except (KeyError, StopIteration) as error:
        note = f"it has {', '.join(f'{len(found)} {kind}' for kind, found in layers.items()) or 'no layer of Keras'}"
        raise D2FError(
            Problem("D2F504", f"weights '{name}' are not of Meso4 or MesoInception4", notes=(note,)), Exit.PLUGIN
        ) from error
    load_arrays(model, arrays, name)
    model.eval()
    return lambda x: -model(x)


def _layers(state: Mapping[str, NDArray[Any]]) -> dict[str, list[Arrays]]:
    """Return the layers of a file by their kind, in the order of their numbers."""
    found: dict[str, dict[int, Arrays]] = {}
    for path, array in state.items():
        matched = re.fullmatch(r"(?:.*/)?([a-z0-9_]+?)(?:_(\d+))?/([a-z_]+)(?::0)?", path)
        if matched:
            kind, number, part = matched.groups()
            found.setdefault(kind, {}).setdefault(int(number or 0), {})[part] = array
    return {kind: [numbered[number] for number in sorted(numbered)] for kind, numbered in found.items()}


def _arrays(layers: Mapping[str, list[Arrays]], model: Meso) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the arrays under the network's names: kernels (height, width, in, out) become (out, height, width, in)."""
    convolutions = iter(layers["conv2d"])
    for number, layer in enumerate(model.layers):
        for place, _ in enumerate(layer.convolutions):
            held = next(convolutions)
            yield f"layers.{number}.convolutions.{place}.weight", held["kernel"].transpose(3, 0, 1, 2)
            yield f"layers.{number}.convolutions.{place}.bias", held["bias"]
    parts = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    for number, held in zip(count(), layers["batch_normalization"], strict=False):
        yield from ((f"norms.{number}.{ours}", held[theirs]) for ours, theirs in parts.items())
    for ours, held in zip(("hidden", "head"), layers["dense"], strict=True):
        yield f"{ours}.weight", held["kernel"].T
        yield f"{ours}.bias", held["bias"]
