"""VGG networks (Simonyan and Zisserman 2015, arXiv:1409.1556) in MLX, channels last."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import mlx.core as mx
import mlx.nn as nn

from d2f.layers import BatchNorm, Conv2d, MaxPool2d, join, relu, split
from d2f.models.grid_average import grid_average
from d2f.models.normalisation import Normalisation
from d2f.models.vgg_shape import VGGShape


class VGG(nn.Module):
    """A VGG network for pictures of 32 x 32 pixels or more.

    Parameters
    ----------
    shape : VGGShape
        See `d2f.models.vgg_shape` for the published ones.
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
            _start(module)

    def features(self, x: mx.array) -> mx.array:
        """Return what the head sees, (n, hidden[-1]), of pictures (n, height, width, 3)."""
        x = x if self.normalise is None else self.normalise(x)
        pieces: Any = split(x) if self.training else x
        for block in self.blocks:
            for convolution in block:
                pieces = convolution(pieces)
            pieces = self.pool(pieces)
        y = grid_average(join(pieces), self.grid).reshape(x.shape[0], -1)
        for linear in self.hidden:
            y = self.dropout(relu(linear(y)))
        return y

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


def _start(module: nn.Module) -> None:
    """Draw convolutions as He et al. 2015 (arXiv:1502.01852) do, linear layers normal with deviation 0.01."""
    if isinstance(module, nn.Conv2d):
        out, *kernel, _ = module.weight.shape
        deviation = (2 / (kernel[0] * kernel[1] * out)) ** 0.5
    elif isinstance(module, nn.Linear):
        deviation = 0.01
    else:
        return
    module.weight = deviation * mx.random.normal(module.weight.shape)
    module.bias = mx.zeros(module.bias.shape)
