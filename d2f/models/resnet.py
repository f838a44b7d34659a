"""Residual networks, and what they share with the VGG family."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import mlx.nn as nn

from d2f.layers import BatchNorm, Conv2d, MaxPool2d, join, piecewise, relu, split
from d2f.models.config import Normalisation, ResNetShape

BOTTLENECK_EXPANSION = 4


class Classifier(nn.Module):
    """What the networks share: pixels normalised, cut into pieces in training, and the head's logits."""

    normalise: Normalisation | None
    head: nn.Linear

    def features(self, x: mx.array) -> mx.array:
        """Return what the head sees, (n, channels), of pictures (n, height, width, 3) in [0, 1]."""
        raise NotImplementedError

    def _pieces(self, x: mx.array) -> Any:
        x = x if self.normalise is None else self.normalise(x)
        return split(x) if self.training else x

    def __call__(self, x: mx.array) -> mx.array:
        """Return the logits of pictures.

        Parameters
        ----------
        x : mlx.core.array, shape (n, height, width, 3), float32
            In [0, 1].

        Returns
        -------
        mlx.core.array, shape (n,) for one logit, otherwise (n, logits)
        """
        logits: mx.array = self.head(self.features(x))
        return logits.squeeze(-1) if logits.shape[-1] == 1 else logits


class ResNet(Classifier):
    """A residual network for pictures of any size.

    Parameters
    ----------
    shape : ResNetShape
        See `d2f.models.resnet_shape` for the published ones.
    normalise : Normalisation, optional
        What becomes of pixels before the first layer.

    Examples
    --------
    >>> import mlx.core as mx
    >>> from d2f.models import ResNet, resnet_shape
    >>> network = ResNet(resnet_shape(20, logits=10))
    >>> network(mx.zeros((2, 32, 32, 3))).shape
    (2, 10)
    """

    folds = (("stem", "stem_norm"),)

    def __init__(self, shape: ResNetShape, normalise: Normalisation | None = None) -> None:
        super().__init__()
        self.normalise = normalise
        stem = shape.stem
        margin = (stem.kernel - stem.stride + 1) // 2
        self.stem = Conv2d(3, stem.width, stem.kernel, stem.stride, margin, bias=False)
        self.stem_norm = BatchNorm(stem.width)
        self.pool = MaxPool2d(3, 2, 1) if stem.pool else None
        self.stages, width = _residual_stages(shape)
        self.head = nn.Linear(width, shape.logits)
        for module in self.modules():
            start_convolution(module)

    def features(self, x: mx.array) -> mx.array:
        """Return the means over the last map, (n, channels), of pictures (n, height, width, 3)."""
        pieces = relu(self.stem_norm(self.stem(self._pieces(x))))
        if self.pool is not None:
            pieces = self.pool(pieces)
        for stage in self.stages:
            for block in stage:
                pieces = block(pieces)
        return join(pieces).mean((1, 2))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    folds = (("conv1", "norm1"), ("conv2", "norm2"))

    def __init__(self, channels: int, width: int, stride: int, shape: ResNetShape) -> None:
        super().__init__()
        self.conv1 = Conv2d(channels, width, 3, stride, 1, bias=False)
        self.norm1 = BatchNorm(width)
        self.conv2 = Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm2 = BatchNorm(width)
        self.shortcut = _shortcut(channels, width, stride, shape)

    def __call__(self, x: Any) -> Any:
        """Return the map (n, height / stride, width / stride, width)."""
        y = relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        return relu(y if self.shortcut is None else y + self.shortcut(x))


class BottleneckBlock(nn.Module):
    """1x1, 3x3 (which takes the stride) and 1x1 convolutions beside a shortcut."""

    folds = (("conv1", "norm1"), ("conv2", "norm2"), ("conv3", "norm3"))

    def __init__(self, channels: int, width: int, stride: int, shape: ResNetShape) -> None:
        super().__init__()
        out = BOTTLENECK_EXPANSION * width
        self.conv1 = Conv2d(channels, width, 1, bias=False)
        self.norm1 = BatchNorm(width)
        self.conv2 = Conv2d(width, width, 3, stride, 1, bias=False)
        self.norm2 = BatchNorm(width)
        self.conv3 = Conv2d(width, out, 1, bias=False)
        self.norm3 = BatchNorm(out)
        self.shortcut = _shortcut(channels, out, stride, shape)

    def __call__(self, x: Any) -> Any:
        """Return the map (n, height / stride, width / stride, 4 * width)."""
        y = relu(self.norm1(self.conv1(x)))
        y = relu(self.norm2(self.conv2(y)))
        y = self.norm3(self.conv3(y))
        return relu(y if self.shortcut is None else y + self.shortcut(x))


class Projection(nn.Module):
    """A 1x1 convolution to another number of channels and size."""

    folds = (("conv", "norm"),)

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv = Conv2d(channels, out, 1, stride, bias=False)
        self.norm = BatchNorm(out)

    def __call__(self, x: Any) -> Any:
        """Return the projected map."""
        return self.norm(self.conv(x))


class Padding(nn.Module):
    """Every stride-th pixel, with zeros for the new channels: a shortcut without parameters."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.more, self.stride = out - channels, stride

    @piecewise
    def __call__(self, x: mx.array) -> mx.array:
        """Return the padded map."""
        return mx.pad(x[:, :: self.stride, :: self.stride], ((0, 0), (0, 0), (0, 0), (0, self.more)))


def _residual_stages(shape: ResNetShape) -> tuple[list[list[nn.Module]], int]:
    block = BasicBlock if shape.block == "basic" else BottleneckBlock
    expansion = 1 if shape.block == "basic" else BOTTLENECK_EXPANSION
    stages, channels = [], shape.stem.width
    for stage in shape.stages:
        blocks: list[nn.Module] = []
        for stride in (stage.stride, *[1] * (stage.blocks - 1)):
            blocks.append(block(channels, stage.width, stride, shape))
            channels = stage.width * expansion
        stages.append(blocks)
    return stages, channels


def _shortcut(channels: int, out: int, stride: int, shape: ResNetShape) -> nn.Module | None:
    if not shape.residual:
        return None
    if channels == out and stride == 1:
        return nn.Identity()
    return (Projection if shape.shortcut == "projection" else Padding)(channels, out, stride)


def start_convolution(module: nn.Module) -> None:
    """Draw a convolution's weights with variance 2 / (kernel area * channels out): He et al. 2015, arXiv:1502.01852."""
    if isinstance(module, nn.Conv2d):
        out, *kernel, _ = module.weight.shape
        deviation = (2 / (kernel[0] * kernel[1] * out)) ** 0.5
        module.weight = deviation * mx.random.normal(module.weight.shape)


def grid_average(x: mx.array, grid: int) -> mx.array:
    """Return the means of a map over ``grid`` x ``grid`` members.

    Member i of n covers the rows from floor(i * height / n) to ceil((i + 1) * height / n), its end left out, and the
    columns likewise: PyTorch's adaptive average pooling. Members overlap where the size is no multiple of n.

    Parameters
    ----------
    x : mlx.core.array, shape (n, height, width, channels)
    grid : int

    Returns
    -------
    mlx.core.array, shape (n, grid, grid, channels)
    """
    height, width = x.shape[1:3]
    if height != grid:
        x = mx.einsum("ih,nhwc->niwc", _members(height, grid), x)
    if width != grid:
        x = mx.einsum("jw,nhwc->nhjc", _members(width, grid), x)
    return x


def _members(size: int, grid: int) -> mx.array:
    """Return the matrix (grid, size) whose product with rows gives the members' means."""
    rows = []
    for member in range(grid):
        start, end = member * size // grid, -(-(member + 1) * size // grid)
        rows.append([1 / (end - start) if start <= row < end else 0.0 for row in range(size)])
    return mx.array(rows)
