"""Networks of MLX in PyTorch, with the same weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mlx.utils import tree_flatten

from d2f.models.config import ResNetShape, Stage, Stem
from d2f.models.resnet import BottleneckBlock, Padding
from tests.benchmarks.speed.spectral_twin import torch_spectral
from tests.torch_networks import TorchResNet, load_parameters


def twin(network: Any) -> torch.nn.Module:
    """Return a network's twin.

    Raises
    ------
    KeyError
        There is none for its class.
    """
    name = type(network).__name__
    if name not in TWINS:
        raise KeyError(f"no counterpart of '{name}' was written")
    made: torch.nn.Module = TWINS[name](network)
    held = {name: np.array(value) for name, value in tree_flatten(network.parameters())}
    load_parameters(made, lambda name, shape: held[name])
    return made


def _resnet(network: Any) -> torch.nn.Module:
    assert network.normalise is None
    return TorchResNet(shape_of(network))


def shape_of(network: Any) -> ResNetShape:
    """Return the shape that a residual network of `d2f.models` was made of."""
    stem, blocks = network.stem, [stage[0] for stage in network.stages]
    shortcuts = [block.shortcut for stage in network.stages for block in stage]
    deep = isinstance(blocks[0], BottleneckBlock)
    stages = [
        Stage(block.conv1.weight.shape[0], len(stage), max(block.conv1.stride[0], block.conv2.stride[0]))
        for block, stage in zip(blocks, network.stages, strict=True)
    ]
    return ResNetShape(
        Stem(stem.weight.shape[0], stem.weight.shape[1], stem.stride[0], network.pool is not None),
        tuple(stages),
        "bottleneck" if deep else "basic",
        "padding" if any(isinstance(one, Padding) for one in shortcuts) else "projection",
        any(one is not None for one in shortcuts),
        network.head.weight.shape[0],
    )


TWINS = {"ResNet": _resnet, "SpectralNetwork": torch_spectral}
"""By the name of the MLX class."""
