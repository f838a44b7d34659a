"""Tiny-LaDeDa (Cavia and others 2024, arXiv:2406.09398): four convolutions, averaged over the picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import mlx.core as mx
import mlx.nn as nn

from d2f.layers import BatchNorm, Conv2d, relu
from d2f.models import load_arrays, resnet_arrays
from d2f_published.npr import residual

if TYPE_CHECKING:
    from numpy.typing import NDArray

WIDTH = 8
COUNTER = "num_batches_tracked"
DIAGONAL = ((-2.0, -1.0, 0.0), (-1.0, 0.0, 1.0), (0.0, 1.0, 2.0))
"""Sobel's kernel turned to a diagonal, as the authors' `right_diag`."""


class TinyLaDeDa(nn.Module):
    """1x1, 3x3, 1x1 and 3x3 (of stride 2) convolutions to 8 channels; the last three with batch norm and max(x, 0)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = Conv2d(3, WIDTH, 1, bias=False)
        self.conv2 = Conv2d(WIDTH, WIDTH, 3, bias=False)
        self.norm2 = BatchNorm(WIDTH)
        self.conv3 = Conv2d(WIDTH, WIDTH, 1, bias=False)
        self.norm3 = BatchNorm(WIDTH)
        self.conv4 = Conv2d(WIDTH, WIDTH, 3, 2, bias=False)
        self.norm4 = BatchNorm(WIDTH)
        self.head = nn.Linear(WIDTH, 1)

    def __call__(self, x: mx.array) -> mx.array:
        """Return logits (n,) of residuals (n, height, width, 3)."""
        y: Any = relu(self.norm2(self.conv2(self.conv1(x))))
        y = relu(self.norm4(self.conv4(relu(self.norm3(self.conv3(y))))))
        logits: mx.array = self.head(y.mean((1, 2)))[:, 0]
        return logits


NAMES = {
    "stem.": "conv1.",
    "conv2.": "conv2.",
    "stem_norm.": "norm2.",
    "stages.0.0.conv1.": "conv3.",
    "stages.0.0.norm1.": "norm3.",
    "stages.0.0.conv2.": "conv4.",
    "stages.0.0.norm2.": "norm4.",
    "head.": "head.",
}
"""From d2f's words of a ResNet, which the authors' names are read as first."""


def network(states: Sequence[Mapping[str, NDArray[Any]]], options: Any, name: str) -> Callable[[mx.array], mx.array]:
    """Return the network: normalised pictures (n, height, width, 3) to logits of `generated` (n,)."""
    read = resnet_arrays({key: array for key, array in states[0].items() if not key.endswith(COUNTER)})
    arrays = {}
    for key, array in read.items():
        prefix = next((known for known in NAMES if key.startswith(known)), "")
        arrays[NAMES.get(prefix, "") + key.removeprefix(prefix)] = array
    model = TinyLaDeDa()
    load_arrays(model, arrays, name)
    model.eval()
    prepare = residual if options.residual == "npr" else gradient
    return lambda x: model(prepare(x))


def gradient(x: mx.array) -> mx.array:
    """Return the gradient along the diagonal of each channel, zeros around the picture, of the same shape."""
    height, width = x.shape[1:3]
    padded = mx.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    terms = [
        weight * padded[:, row : row + height, column : column + width]
        for row, weights in enumerate(DIAGONAL)
        for column, weight in enumerate(weights)
        if weight
    ]
    return sum(terms[1:], terms[0])
