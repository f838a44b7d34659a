"""A network made of its configuration."""

from __future__ import annotations

from typing import TypeAlias

from d2f.models.config import ModelConfig, ResNetConfig, VGGConfig
from d2f.models.normalisation import Normalisation
from d2f.models.resnet import ResNet
from d2f.models.shape import Stem, resnet_shape
from d2f.models.small_vgg import SmallVGG
from d2f.models.vgg import VGG
from d2f.models.vgg_shape import vgg_shape

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
