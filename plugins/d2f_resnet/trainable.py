"""What `d2f train` fits for the detector `resnet`."""

from __future__ import annotations

from typing import Any

from d2f_resnet.options import NetworkOptions, VGGOptions

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
