"""The networks of `d2f.models` in PyTorch, their parameters under the same names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from d2f.models.config import ResNetShape

BOTTLENECK_EXPANSION = 4


class TorchResNet(nn.Module):
    """A residual network for pictures (n, 3, height, width)."""

    def __init__(self, shape: ResNetShape) -> None:
        super().__init__()
        stem = shape.stem
        margin = (stem.kernel - stem.stride + 1) // 2
        self.stem = nn.Conv2d(3, stem.width, stem.kernel, stem.stride, margin, bias=False)
        self.stem_norm = nn.BatchNorm2d(stem.width)
        self.pool = nn.MaxPool2d(3, 2, 1) if stem.pool else nn.Identity()
        stages, channels = [], stem.width
        for stage in shape.stages:
            blocks = []
            for stride in (stage.stride, *[1] * (stage.blocks - 1)):
                blocks.append(Block(channels, stage.width, stride, shape))
                channels = stage.width * (1 if shape.block == "basic" else BOTTLENECK_EXPANSION)
            stages.append(nn.ModuleList(blocks))
        self.stages = nn.ModuleList(stages)
        self.head = nn.Linear(channels, shape.logits)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        x = self.pool(functional.relu(self.stem_norm(self.stem(x)), inplace=True))
        for stage in self.stages:
            for block in stage:
                x = block(x)
        logits = self.head(x.mean((2, 3)))
        return logits.squeeze(-1) if logits.shape[-1] == 1 else logits


class Block(nn.Module):
    """A basic or a bottleneck block."""

    def __init__(self, channels: int, width: int, stride: int, shape: ResNetShape) -> None:
        super().__init__()
        basic = shape.block == "basic"
        out = width if basic else BOTTLENECK_EXPANSION * width
        kernels = ((3, stride, width), (3, 1, width)) if basic else ((1, 1, width), (3, stride, width), (1, 1, out))
        self.count, into = len(kernels), channels
        for number, (kernel, step, made) in enumerate(kernels, 1):
            setattr(self, f"conv{number}", nn.Conv2d(into, made, kernel, step, kernel // 2, bias=False))
            setattr(self, f"norm{number}", nn.BatchNorm2d(made))
            into = made
        self.residual, self.more, self.stride, self.shortcut = shape.residual, 0, stride, None
        if channels != out or stride > 1:
            self.more = out - channels
            if shape.residual and shape.shortcut == "projection":
                self.shortcut = nn.ModuleDict(
                    {"conv": nn.Conv2d(channels, out, 1, stride, bias=False), "norm": nn.BatchNorm2d(out)}
                )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's map."""
        y = x
        for number in range(1, self.count + 1):
            y = getattr(self, f"norm{number}")(getattr(self, f"conv{number}")(y))
            if number < self.count:
                y = functional.relu(y, inplace=True)
        return functional.relu(y + self._carried(x) if self.residual else y, inplace=True)

    def _carried(self, x: torch.Tensor) -> torch.Tensor:
        if self.shortcut is not None:
            return self.shortcut["norm"](self.shortcut["conv"](x))
        if self.more or self.stride > 1:
            return functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))
        return x


def load_parameters(network: nn.Module, value: Callable[[str, tuple[int, ...]], np.ndarray]) -> None:
    """Give a network the parameters that `value` returns for a name and a shape in MLX's order of axes."""
    state = {}
    for name, tensor in network.state_dict().items():
        if tensor.ndim == 4:
            shape = (tensor.shape[0], *tensor.shape[2:], tensor.shape[1])
            state[name] = torch.from_numpy(value(name, shape).transpose(0, 3, 1, 2).copy())
        elif tensor.ndim:
            state[name] = torch.from_numpy(np.array(value(name, tuple(tensor.shape))))
    network.load_state_dict(state, strict=False)
