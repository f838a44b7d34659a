"""The network: high-pass filters, learned, and the strength of what passes them."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ResidualNetwork(nn.Module):
    """(n, 3, size, size) in [0, 1] to logits (n,), above 0 for `generated`."""

    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.Conv2d(3, 16, kernel_size=5, bias=False)
        self.head = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, pictures: Tensor) -> Tensor:
        # Filters of mean 0 do not see the level, only what changes from pixel to pixel.
        weight = self.filters.weight
        passed = nn.functional.conv2d(pictures, weight - weight.mean(dim=(2, 3), keepdim=True))
        strength = passed.square().mean(dim=(2, 3))
        return self.head(torch.log(strength + 1e-6)).squeeze(1)
