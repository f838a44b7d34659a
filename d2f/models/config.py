"""Models as recipes and weights files name them: one pydantic model for each architecture."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from d2f.models.normalisation import Known

Dropout: TypeAlias = Annotated[float, Field(ge=0, lt=1, description="After each hidden layer.")]
Logits: TypeAlias = Annotated[
    int, Field(ge=1, description="1 for binary cross entropy; 2 or the number of classes for cross entropy.")
]
Normalise: TypeAlias = Annotated[
    Known | None,
    Field(
        description="What becomes of pixels before the first layer: `imagenet` for torchvision's and timm's weights."
    ),
]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StemConfig(_Strict):
    """The first convolution of a residual network; equal kernel and stride cut the picture into patches."""

    width: int = Field(ge=1, description="Channels out of the first convolution.")
    kernel: int = Field(3, ge=1, description="Its kernel's size.")
    stride: int = Field(1, ge=1, description="Its stride.")
    pool: bool = Field(False, description="Follow it with a 3x3 maximum of stride 2.")


class ResNetConfig(_Strict):
    """A residual network: 20 to 110 of CIFAR style, or 18, 34 and 50 of ImageNet style."""

    architecture: Literal["resnet"] = Field(description="A residual network.")
    depth: Literal[18, 20, 32, 34, 44, 50, 56, 110] = Field(description="Layers with weights.")
    residual: bool = Field(True, description="False for the plain network of the same depth, without shortcuts.")
    stem: StemConfig | None = Field(None, description="Instead of the published first convolution.")
    logits: Logits = 1
    normalise: Normalise = None


class VGGConfig(_Strict):
    """A VGG network."""

    architecture: Literal["vgg"] = Field(description="A VGG network.")
    depth: Literal[11, 13, 16, 19] = Field(description="Layers with weights.")
    batch_norm: bool = Field(False, description="Batch norm after every convolution.")
    dropout: Dropout = 0.5
    logits: Logits = 1
    normalise: Normalise = None


class SmallVGGConfig(_Strict):
    """The small VGG-like network for pictures of 28 x 28 pixels."""

    architecture: Literal["small-vgg"] = Field(description="Three blocks for pictures of 28 x 28 pixels.")
    dropout: Dropout = 0.5
    logits: Logits = 1
    normalise: Normalise = None


ModelConfig: TypeAlias = Annotated[ResNetConfig | VGGConfig | SmallVGGConfig, Field(discriminator="architecture")]
"""Any of them, told apart by `architecture`; a field of this type reads ``{architecture: resnet, depth: 18}``."""


def model_config(data: object) -> ModelConfig:
    """Return the configuration that plain data describe.

    Parameters
    ----------
    data : mapping
        As it stands in a recipe.

    Raises
    ------
    pydantic.ValidationError
        An unknown architecture or key, or a value out of range.

    Examples
    --------
    >>> model_config({"architecture": "resnet", "depth": 20}).logits
    1
    """
    adapter: TypeAdapter[ModelConfig] = TypeAdapter(ModelConfig)
    return adapter.validate_python(data)
