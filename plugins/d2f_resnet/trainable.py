"""What `d2f train` fits for the detector `resnet`."""

from __future__ import annotations

from typing import Any

from d2f_resnet.options import NetworkOptions


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
