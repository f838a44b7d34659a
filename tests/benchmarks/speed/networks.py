"""The networks that are measured: those that ship, found through the catalog, and two that everybody knows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from unittest.mock import patch

from d2f import Weights
from d2f.plugins.build import build
from d2f.plugins.catalog import Catalog
from d2f.weights import read_weights
from d2f.weights.sources import located

PICTURE = 224


class Network(NamedTuple):
    """A network by what builds it.

    Attributes
    ----------
    trainable : str
        Its name in the catalog; its `build` makes the network.
    options : str
        JSON, keys in order.
    size : int
        Side of the pictures.
    """

    trainable: str
    options: str
    size: int = PICTURE


REFERENCES = {
    "ResNet-18": Network("resnet", '{"depth": 18}'),
    "ResNet-44": Network("resnet", '{"depth": 44}'),
}
"""As published, on pictures of 224 pixels."""


def shipped() -> dict[str, Network]:
    """Return the networks that `d2f train` fits step by step, by name: as the weights here have them.

    One whose weights are not here comes with the options that it has by default.
    """
    catalog = Catalog.discover()
    found: dict[Network, None] = {network: None for record in catalog.weights for network in _of(record, catalog)}
    here = {network.trainable for network in found}
    for stage in catalog.stages("trainable"):
        if hasattr(stage, "build") and stage.name not in here:
            found[Network(stage.name, "{}")] = None
    several = [network.trainable for network in found]
    return {_name(network, several.count(network.trainable) > 1): network for network in found}


def _of(record: Weights, catalog: Catalog) -> Iterator[Network]:
    if located(record) is None or not record.sources[0].endswith(".safetensors"):
        return
    said = read_weights(record).metadata
    if said.get("trainable") in catalog.names("trainable"):
        stage = catalog.find("trainable", said["trainable"])
        if hasattr(stage, "build"):
            options = json.dumps(json.loads(said["options"]), sort_keys=True)
            yield Network(said["trainable"], options, int(said.get("tile", PICTURE)))


def _name(network: Network, several: bool) -> str:
    given: Mapping[str, Any] = json.loads(network.options)
    return (
        f"{network.trainable} {', '.join(f'{key} {value}' for key, value in given.items())}"
        if several
        else network.trainable
    )


def fresh(network: Network) -> Any:
    """Return the network with the same fresh weights in every process; dropout left out, which would differ."""
    import mlx.core as mx
    import mlx.nn as nn

    mx.random.seed(0)
    trainable = build(Catalog.discover(), "trainable", network.trainable, json.loads(network.options))
    made = trainable.build()
    for module in made.modules():
        if isinstance(module, nn.Dropout):
            module._p_1 = 1.0
    mx.eval(made.parameters())
    return made


def convolutions(network: Network) -> Counter[tuple[int, ...]]:
    """Return (size, in, out, kernel, stride, padding) of its square convolutions, and how many there are of each."""
    import mlx.core as mx

    from d2f.layers import Conv2d

    met: Counter[tuple[int, ...]] = Counter()
    call = Conv2d.__call__

    def seen(layer: Conv2d, x: mx.array) -> mx.array:
        out, kernel, across, into = layer.weight.shape
        if kernel == across and x.shape[1] == x.shape[2] and layer.groups == 1:
            met[x.shape[1], into, out, kernel, layer.stride[0], layer.padding[0]] += 1
        return call(layer, x)

    with patch.object(Conv2d, "__call__", seen):
        fresh(network).eval()(mx.zeros((1, network.size, network.size, 3)))  # Never evaluated: shapes suffice.
    return met
