"""A small VGG-like network for pictures of 28 x 28 pixels."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import mlx.core as mx
import mlx.nn as nn

from d2f.layers import MaxPool2d, join, relu, split
from d2f.models.normalisation import Normalisation
from d2f.models.vgg import Convolution

WIDTHS = (32, 64, 128)
HIDDEN = (1024, 800)


class SmallVGG(nn.Module):
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
            _start(module)

    def features(self, x: mx.array) -> mx.array:
        """Return what the head sees, (n, 800), of pictures (n, height, width, 3)."""
        x = x if self.normalise is None else self.normalise(x)
        pieces: Any = split(x) if self.training else x
        for block in self.blocks:
            for convolution in block:
                pieces = convolution(pieces)
            pieces = self.pool(pieces)
        y = join(pieces).mean((1, 2))
        for layer in self.hidden:
            y = layer(y)
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


def _start(module: nn.Module) -> None:
    """Draw weights as Glorot and Bengio 2010 do ("Xavier"): uniform in +- sqrt(6 / (values in + values out))."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        out, *kernel, channels = module.weight.shape
        area = kernel[0] * kernel[1] if kernel else 1
        bound = (6 / (area * (channels + out))) ** 0.5
        module.weight = mx.random.uniform(-bound, bound, module.weight.shape)
        module.bias = mx.zeros(module.bias.shape)
