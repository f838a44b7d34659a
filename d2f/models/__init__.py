"""Networks that detectors are made of, in MLX. Public: plugins may import them."""

from __future__ import annotations

from d2f.models.resnet import ResNet
from d2f.models.shape import ResNetShape, Stage, Stem, resnet_shape

__all__ = ["ResNet", "ResNetShape", "Stage", "Stem", "resnet_shape"]
