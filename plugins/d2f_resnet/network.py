"""A network by its options, from a weights file."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from d2f import D2FError, Exit, Problem
from d2f.models import build_model, load_arrays, model_config
from d2f.weights import WeightsFile
from d2f_resnet.trainable import NetworkOptions, VGGOptions

EARLY = {"kernel": 4, "stride": 4}
WIDTHS = {18: 64, 34: 64, 50: 64}
"""Channels of the first convolution; 16 for the depths of CIFAR style."""


def build_network(options: NetworkOptions) -> Any:
    """Return a fresh network: float32 (n, height, width, 3) in [0, 1] to logits (n,) or (n, 2)."""
    config: dict[str, Any] = {"architecture": "resnet", **options.model_dump(exclude={"stem"})}
    if options.stem == "early":
        config["stem"] = {"width": WIDTHS.get(options.depth, 16), **EARLY}
    return build_model(model_config(config))


def build_vgg(options: VGGOptions) -> Any:
    """Return a fresh network of the VGG family, for the same tiles and logits."""
    plain = options.model_dump(exclude={"depth", "batch_norm"})
    if options.depth == "small":
        return build_model(model_config({"architecture": "small-vgg", **plain}))
    shape = {"architecture": "vgg", "depth": options.depth, "batch_norm": options.batch_norm}
    return build_model(model_config({**shape, **plain}))


BUILT: dict[str, Callable[[dict[str, Any]], Any]] = {
    "resnet": lambda options: build_network(NetworkOptions.model_validate(options)),
    "vgg": lambda options: build_vgg(VGGOptions.model_validate(options)),
}
"""By the trainable that a weights file names: from its options to the network."""


def read_network(held: WeightsFile, name: str, tile: int) -> Any:
    """Return the network of a weights file that `d2f train` wrote, in evaluation mode.

    Raises
    ------
    D2FError
        D2F504: the file is not of such a network, or of another tile.
    """
    trainable = held.metadata.get("trainable", "")
    if trainable not in BUILT:
        note = "weights of `resnet` are .safetensors files that `d2f train` wrote; they carry the network's options"
        raise D2FError(
            Problem("D2F504", f"weights '{name}' do not say that they are of `resnet` or `vgg`", notes=(note,)),
            Exit.PLUGIN,
        )
    trained = int(held.metadata.get("tile", tile))
    if trained != tile:
        message = f"weights '{name}' were trained on tiles of {trained} pixels, not of {tile}"
        raise D2FError(Problem("D2F504", message, notes=(f"set the detector's option tile: {trained}",)), Exit.PLUGIN)
    network = BUILT[trainable](json.loads(held.metadata["options"]))
    load_arrays(network, held.arrays, name)
    network.eval()
    return network
