"""What `d2f train` fits for the detector `resnet`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from d2f import Options


class NetworkOptions(Options):
    """Options of the network; recipes give them under `with`, and weights files carry them."""

    depth: Literal[18, 20, 32, 34, 44, 50, 56, 110] = Field(
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
        description="Normalisation of pixels before the first layer; `imagenet` where training starts from weights of "
        "torchvision or timm.",
    )


class VGGOptions(Options):
    """Options of a VGG network; recipes give them under `with`, and weights files carry them."""

    depth: Literal["small", 11, 13, 16, 19] = Field(
        default=16, description="Layers with weights; `small` is a network of eight for tiles of about 28 pixels."
    )
    batch_norm: bool = Field(default=True, description="Batch norm after every convolution; `small` always has it.")
    dropout: float = Field(default=0.5, ge=0.0, lt=1.0, description="After each hidden layer.")
    logits: Literal[1, 2] = Field(default=1, description="1 for binary cross entropy, 2 for cross entropy.")
    normalise: Literal["imagenet"] | None = Field(default=None, description="As of `resnet`.")


FAMILIES = ((20, 32, 44, 56, 110), (18, 34, 50))
"""Depths of CIFAR and of ImageNet style."""


class ResNetTrainable:
    """A residual network; `plain.yaml` and `robust.yaml` beside this file are its recipes."""

    name = "resnet"
    summary = "A residual network of CIFAR or ImageNet style for the detector resnet."
    Options = NetworkOptions

    def __init__(self, options: NetworkOptions) -> None:
        self.options = options

    def build(self) -> Any:
        """Return a fresh network: float32 (n, height, width, 3) in [0, 1] to logits (n,) or (n, 2)."""
        from d2f_resnet.network import build_network

        return build_network(self.options)

    def ablations(self) -> dict[str, dict[str, Any]]:
        """Return simpler networks by name, as options: what `d2f train ablate` compares with."""
        given = self.options.model_dump(exclude_none=True)
        simpler = {}
        if self.options.residual:
            simpler["without residual connections"] = {**given, "residual": False}
        family = next(depths for depths in FAMILIES if self.options.depth in depths)
        shallower = [depth for depth in family if depth < self.options.depth]
        if shallower:
            simpler[f"depth {shallower[-1]}"] = {**given, "depth": shallower[-1]}
        return simpler


class VGGTrainable:
    """A VGG network, or the small one; `vgg.yaml` beside this file is a recipe."""

    name = "vgg"
    summary = "A VGG network for the detector resnet, which takes its weights too."
    Options = VGGOptions

    def __init__(self, options: VGGOptions) -> None:
        self.options = options

    def build(self) -> Any:
        """Return a fresh network: float32 (n, height, width, 3) in [0, 1] to logits (n,) or (n, 2)."""
        from d2f_resnet.network import build_vgg

        return build_vgg(self.options)

    def ablations(self) -> dict[str, dict[str, Any]]:
        """Return simpler networks by name, as options: the next depth, and without batch norm."""
        given, depth = self.options.model_dump(exclude_none=True), self.options.depth
        if depth == "small":
            return {}
        simpler = {f"depth {less}": {**given, "depth": less} for less in (11, 13, 16) if less < depth}
        if self.options.batch_norm:
            simpler["without batch norm"] = {**given, "batch_norm": False}
        return simpler
