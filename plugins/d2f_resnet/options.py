"""What there is to choose: the network's shape, and how the detector looks at a view."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

Depth: TypeAlias = Literal[18, 20, 32, 34, 44, 50, 56, 110]


class NetworkOptions(BaseModel):
    """The network; recipes give them under `with`, and weights files carry them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    depth: Depth = Field(
        default=44, description="Layers with weights: 20 to 110 of CIFAR style, 18, 34, 50 of ImageNet style."
    )
    stem: Literal["cifar", "early"] = Field(
        default="cifar",
        description="The published first convolution; or patches of 4x4 in the first layer, a sixteenth of the pixels.",
    )
    residual: bool = Field(
        default=True, description="False for the plain network of the same depth, without shortcuts."
    )
    logits: Literal[1, 2] = Field(default=1, description="1 for binary cross entropy, 2 for cross entropy.")
    normalise: Literal["imagenet"] | None = Field(
        default=None,
        description="What becomes of pixels before the first layer; `imagenet` where training starts from weights of "
        "torchvision or timm.",
    )


class VGGOptions(BaseModel):
    """A VGG network; recipes give them under `with`, and weights files carry them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    depth: Literal["small", 11, 13, 16, 19] = Field(
        default=16, description="Layers with weights; `small` is a network of eight for tiles of about 28 pixels."
    )
    batch_norm: bool = Field(default=True, description="Batch norm after every convolution; `small` always has it.")
    dropout: float = Field(default=0.5, ge=0.0, lt=1.0, description="After each hidden layer.")
    logits: Literal[1, 2] = Field(default=1, description="1 for binary cross entropy, 2 for cross entropy.")
    normalise: Literal["imagenet"] | None = Field(default=None, description="As of `resnet`.")


class DetectorOptions(BaseModel):
    """What the detector is told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: str = Field(default="robust", description="Name of a set of weights, or a path.")
    tile: int = Field(
        default=224, ge=8, description="Side of a tile in pixels: that which the weights were trained on."
    )
    count: int = Field(default=4, ge=1, description="The most tiles taken from one view.")
    pick: Literal["centre", "grid", "texture"] = Field(default="grid", description="Which tiles.")
    pool: Literal["mean", "median", "max"] = Field(default="mean", description="How tile scores become the image's.")
