"""Networks that detectors are made of, in MLX. Public: plugins may import them."""

from __future__ import annotations

from d2f.models.build import Network, build_model
from d2f.models.config import ModelConfig, ResNetConfig, SmallVGGConfig, StemConfig, VGGConfig, model_config
from d2f.models.freezing import freeze
from d2f.models.normalisation import Normalisation
from d2f.models.parameters import arrays_of, load_arrays, parameter_count
from d2f.models.published import Published, from_published
from d2f.models.resnet import ResNet
from d2f.models.shape import ResNetShape, Stage, Stem, resnet_shape
from d2f.models.small_vgg import SmallVGG
from d2f.models.vgg import VGG
from d2f.models.vgg_shape import VGGShape, vgg_shape

__all__ = [
    "VGG",
    "ModelConfig",
    "Network",
    "Normalisation",
    "Published",
    "ResNet",
    "ResNetConfig",
    "ResNetShape",
    "SmallVGG",
    "SmallVGGConfig",
    "Stage",
    "Stem",
    "StemConfig",
    "VGGConfig",
    "VGGShape",
    "arrays_of",
    "build_model",
    "freeze",
    "from_published",
    "load_arrays",
    "model_config",
    "parameter_count",
    "resnet_shape",
    "vgg_shape",
]
