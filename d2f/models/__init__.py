"""Networks that detectors are made of, in MLX. Public: plugins may import them."""

from __future__ import annotations

from d2f.models.build import Network, build_model, freeze
from d2f.models.config import (
    ModelConfig,
    Normalisation,
    ResNetConfig,
    ResNetShape,
    SmallVGGConfig,
    Stage,
    Stem,
    StemConfig,
    VGGConfig,
    VGGShape,
    arrays_of,
    load_arrays,
    model_config,
    parameter_count,
    resnet_shape,
    vgg_shape,
)
from d2f.models.published import Published, from_published, resnet_arrays
from d2f.models.published_vit import Layout, vit_arrays
from d2f.models.resnet import ResNet
from d2f.models.vgg import VGG, SmallVGG
from d2f.models.vit import ViT, ViTShape, rotary_angles

__all__ = [
    "VGG",
    "Layout",
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
    "ViT",
    "ViTShape",
    "arrays_of",
    "build_model",
    "freeze",
    "from_published",
    "load_arrays",
    "model_config",
    "parameter_count",
    "resnet_arrays",
    "resnet_shape",
    "rotary_angles",
    "vgg_shape",
    "vit_arrays",
]
