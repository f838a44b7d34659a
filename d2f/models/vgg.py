"""The VGG family, and a small VGG-like network for pictures of 28 x 28 pixels."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import mlx.core as mx
import mlx.nn as nn

from d2f.layers import BatchNorm, Conv2d, MaxPool2d, join, relu
from d2f.models.config import Normalisation, VGGShape
from d2f.models.resnet import Classifier, grid_average, start_convolution


class VGG(Classifier):
    """A VGG network for pictures of 32 x 32 pixels or more.

    Parameters
    ----------
    shape : VGGShape
        See `d2f.models.config` for the published ones.
    normalise : Normalisation, optional
        What becomes of pixels before the first layer.

    Examples
    --------
    >>> import mlx.core as mx
    >>> from d2f.models import VGG, VGGShape
    >>> network = VGG(VGGShape(((8,), (16, 16)), hidden=(32,), logits=10))
    >>> network(mx.zeros((2, 28, 28, 3))).shape
    (2, 10)
    """

    def __init__(self, shape: VGGShape, normalise: Normalisation | None = None) -> None:
        super().__init__()
        self.normalise = normalise
        channels = pairwise([3, *(width for block in shape.blocks for width in block)])
        self.blocks = [[Convolution(*next(channels), shape.batch_norm) for _ in block] for block in shape.blocks]
        self.pool = MaxPool2d(2, 2)
        self.grid = shape.grid
        widths = [shape.grid**2 * shape.blocks[-1][-1], *shape.hidden]
        self.hidden = [nn.Linear(before, after) for before, after in pairwise(widths)]
        self.dropout = nn.Dropout(shape.dropout)
        self.head = nn.Linear(widths[-1], shape.logits)
        for module in self.modules():
            _draw_start(module)

    def features(self, x: mx.array) -> mx.array:
        """Return what the head sees, (n, hidden[-1]), of pictures (n, height, width, 3)."""
        pieces = _through(self.blocks, self.pool, self._pieces(x))
        y = grid_average(join(pieces), self.grid).reshape(x.shape[0], -1)
        for linear in self.hidden:
            y = self.dropout(relu(linear(y)))
        return y


def _through(blocks: list[list[Convolution]], pool: MaxPool2d, pieces: Any) -> Any:
    for block in blocks:
        for convolution in block:
            pieces = convolution(pieces)
        pieces = pool(pieces)
    return pieces


class Convolution(nn.Module):
    """A 3x3 convolution that keeps the map's size, batch norm if asked, and max(x, 0)."""

    folds = (("conv", "norm"),)

    def __init__(self, channels: int, width: int, batch_norm: bool) -> None:
        super().__init__()
        self.conv = Conv2d(channels, width, 3, padding=1)
        self.norm = BatchNorm(width) if batch_norm else nn.Identity()

    def __call__(self, x: Any) -> Any:
        """Return the map (n, height, width, width of the layer)."""
        return relu(self.norm(self.conv(x)))


def _draw_start(module: nn.Module) -> None:
    """Draw convolutions as He et al. 2015 (arXiv:1502.01852) do, linear layers normal with deviation 0.01."""
    if not isinstance(module, nn.Conv2d | nn.Linear):
        return
    start_convolution(module)
    if isinstance(module, nn.Linear):
        module.weight = 0.01 * mx.random.normal(module.weight.shape)
    module.bias = mx.zeros(module.bias.shape)


WIDTHS = (32, 64, 128)
HIDDEN = (1024, 800)


class SmallVGG(Classifier):
    """Three blocks of two 3x3 convolutions with batch norm, then 128-1024-800-logits with batch norm and dropout.

    After each block stands a maximum of kernel 4 and stride 4 in ceil mode, so that a picture of 28 pixels becomes
    7, 2 and 1: ceil((size - 4) / 4) + 1. What is left of a larger picture is averaged. With ten logits it has
    1 251 658 parameters, 287 904 of them in the blocks.

    Parameters
    ----------
    logits : int
        1 for binary cross entropy, or as many as there are classes.
    dropout : float
        After each hidden layer, in [0, 1).
    normalise : Normalisation, optional
        What becomes of pixels before the first layer.

    Examples
    --------
    >>> import mlx.core as mx
    >>> from d2f.models import SmallVGG
    >>> SmallVGG(logits=10)(mx.zeros((2, 28, 28, 3))).shape
    (2, 10)
    """

    def __init__(self, logits: int = 1, dropout: float = 0.5, normalise: Normalisation | None = None) -> None:
        super().__init__()
        self.normalise = normalise
        self.blocks = [
            [Convolution(before, after, True), Convolution(after, after, True)]
            for before, after in pairwise((3, *WIDTHS))
        ]
        self.pool = MaxPool2d(4, 4, ceil_mode=True)
        self.hidden = [Hidden(before, after, dropout) for before, after in pairwise((WIDTHS[-1], *HIDDEN))]
        self.head = nn.Linear(HIDDEN[-1], logits)
        for module in self.modules():
            _start_of_small_vgg(module)

    def features(self, x: mx.array) -> mx.array:
        """Return what the head sees, (n, 800), of pictures (n, height, width, 3)."""
        pieces = _through(self.blocks, self.pool, self._pieces(x))
        y = join(pieces).mean((1, 2))
        for layer in self.hidden:
            y = layer(y)
        return y


class Hidden(nn.Module):
    """A linear layer, batch norm, max(x, 0) and dropout."""

    folds = (("linear", "norm"),)

    def __init__(self, before: int, after: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(before, after)
        self.norm = nn.BatchNorm(after)
        self.dropout = nn.Dropout(dropout)

    def __call__(self, x: mx.array) -> mx.array:
        """Return what (n, before) becomes, (n, after)."""
        y: mx.array = self.dropout(relu(self.norm(self.linear(x))))
        return y


def _start_of_small_vgg(module: nn.Module) -> None:
    """Draw weights as Glorot and Bengio 2010 do ("Xavier"): uniform in +- sqrt(6 / (values in + values out))."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        out, *kernel, channels = module.weight.shape
        area = kernel[0] * kernel[1] if kernel else 1
        bound = (6 / (area * (channels + out))) ** 0.5
        module.weight = mx.random.uniform(-bound, bound, module.weight.shape)
        module.bias = mx.zeros(module.bias.shape)
