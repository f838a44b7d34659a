"""The builder of all networks by configuration, and backbones that are frozen while the layers after them learn."""

from __future__ import annotations

import re
from typing import TypeAlias

import mlx.nn as nn

from d2f.api.errors import did_you_mean
from d2f.layers import BatchNorm
from d2f.models.config import ModelConfig, Normalisation, ResNetConfig, Stem, VGGConfig, resnet_shape, vgg_shape
from d2f.models.resnet import ResNet
from d2f.models.vgg import VGG, SmallVGG

Network: TypeAlias = ResNet | VGG | SmallVGG
"""What `build_model` returns: an mlx.nn.Module with ``features(x)``, ``head`` and ``__call__(x)``."""


def build_model(config: ModelConfig) -> Network:
    """Return a network with weights drawn from MLX's random state.

    Parameters
    ----------
    config : ResNetConfig, VGGConfig or SmallVGGConfig

    Returns
    -------
    ResNet, VGG or SmallVGG
        In training mode, as MLX's modules are made; ``eval()`` sets the other.

    Examples
    --------
    >>> from d2f.models import build_model, model_config
    >>> type(build_model(model_config({"architecture": "small-vgg", "logits": 2}))).__name__
    'SmallVGG'
    """
    normalise = None if config.normalise is None else Normalisation.named(config.normalise)
    if isinstance(config, ResNetConfig):
        stem = Stem(**config.stem.model_dump()) if config.stem else None
        return ResNet(resnet_shape(config.depth, logits=config.logits, residual=config.residual, stem=stem), normalise)
    if isinstance(config, VGGConfig):
        shape = vgg_shape(config.depth, logits=config.logits, batch_norm=config.batch_norm, dropout=config.dropout)
        return VGG(shape, normalise)
    return SmallVGG(config.logits, config.dropout, normalise)


class FrozenBatchNorm(BatchNorm):
    """Batch norm that normalises by its running statistics, and keeps them, in training too."""

    @classmethod
    def of(cls, norm: nn.BatchNorm) -> FrozenBatchNorm:
        """Return a frozen batch norm with the same arrays."""
        frozen = cls(norm.num_features, norm.eps, norm.momentum, "weight" in norm)
        frozen.update(norm.parameters())
        frozen.freeze()
        frozen.train(False)
        return frozen

    def _set_training_mode(self, mode: bool) -> None:
        super()._set_training_mode(False)


def freeze(model: nn.Module, until: str | None = None) -> list[str]:
    """Freeze a network's first layers: their weights do not learn, their batch norms keep their statistics.

    Parameters
    ----------
    model : mlx.nn.Module
        One of `d2f.models`; changed in place. Freeze once, after the weights are loaded.
    until : str, optional
        The first layer that learns, such as ``stages.2``, ``blocks.4`` or ``head``; ``layer3`` is understood as
        ``stages.2``. By default ``head``: the whole backbone is frozen.

    Returns
    -------
    list of str
        Names of the frozen layers, in the order that pictures pass them.

    Raises
    ------
    ValueError
        The network has no such layer.

    Examples
    --------
    >>> from d2f.models import ResNet, freeze, resnet_shape
    >>> freeze(ResNet(resnet_shape(20)), until="layer2")
    ['stem', 'stem_norm', 'stages.0']
    """
    order = layers(model)
    wanted = _in_our_words(until or "head")
    if wanted not in order:
        notes = "; ".join(did_you_mean(wanted, order)) or f"there are {', '.join(order)}"
        raise ValueError(f"the network has no layer '{until}': {notes}")
    frozen = order[: order.index(wanted)]
    for name, module in list(model.named_modules()):
        if any(name == layer or name.startswith(f"{layer}.") for layer in frozen):
            module.freeze(recurse=False)
            if isinstance(module, nn.BatchNorm):
                _replace(model, name, FrozenBatchNorm.of(module))
    return frozen


def layers(model: nn.Module) -> list[str]:
    """Return the names that `freeze` understands, in the order that pictures pass them."""
    names: list[str] = []
    for name, child in model.children().items():
        if isinstance(child, list):
            names += [f"{name}.{index}" for index in range(len(child))]
        elif child and isinstance(child, nn.Module) and child.parameters():
            names.append(name)
    return names


def _in_our_words(name: str) -> str:
    found = re.fullmatch(r"layer([1-9])", name)
    return f"stages.{int(found[1]) - 1}" if found else name


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    holder: nn.Module | list[nn.Module] = model
    *path, last = name.split(".")
    for part in path:
        holder = holder[int(part)] if isinstance(holder, list) else getattr(holder, part)
    if isinstance(holder, list):
        holder[int(last)] = module
    else:
        setattr(holder, last, module)
