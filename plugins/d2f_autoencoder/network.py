"""The layers of the tiny autoencoder, in MLX: maps (n, height, width, 64), float32."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from d2f.layers import Conv2d, relu
from d2f_autoencoder.shapes import GROUPS, WIDE

Arrays = Mapping[str, NDArray[Any]]
Layer = Callable[[mx.array], mx.array]

EPSILON = 1e-5
"""What group norm adds to a variance."""

ROWS = 2**16
"""Places of a map whose 256 channels are in memory at once."""


def convolution(arrays: Arrays, name: str, stride: int = 1) -> Layer:
    """Return a 3x3 convolution with the weights (out, in, 3, 3) and, where there is one, the bias of a name."""
    weight = arrays[f"{name}.weight"]
    layer = Conv2d(weight.shape[1], weight.shape[0], 3, stride, padding=1, bias=f"{name}.bias" in arrays)
    layer.weight = mx.array(np.ascontiguousarray(weight.transpose(0, 2, 3, 1), np.float32))
    if "bias" in layer:
        layer.bias = _array(arrays, f"{name}.bias")
    mx.eval(layer.parameters())
    layer.eval()
    return layer


def block(arrays: Arrays, name: str) -> Layer:
    """Return three convolutions with a ReLU between them, their input added at the end, and a ReLU."""
    first, second, third = (convolution(arrays, f"{name}.conv.{place}") for place in (0, 2, 4))

    def apply(x: mx.array) -> mx.array:
        return relu(third(relu(second(relu(first(x))))) + x)

    return apply


def sequence(*layers: Layer) -> Layer:
    """Return layers one after the other."""

    def apply(x: mx.array) -> mx.array:
        for layer in layers:
            x = layer(x)
        return x

    return apply


def doubled(x: mx.array) -> mx.array:
    """Return a map with every element standing twice in each direction."""
    images, height, width, channels = x.shape
    whole = mx.broadcast_to(x[:, :, None, :, None, :], (images, height, 2, width, 2, channels))
    return whole.reshape(images, 2 * height, 2 * width, channels)


def softly_clipped(x: mx.array) -> mx.array:
    """Return 3 tanh(x / 3)."""
    return mx.tanh(x / 3) * 3


class Pool:
    """x + W2 relu(norm(W1 x)), the norm over the whole picture: 4 groups of 64 channels.

    Parameters
    ----------
    arrays : mapping of str to numpy.ndarray
    name : str
        ``pool`` of a block: `NAME.0`, `NAME.1` and `NAME.3` are its arrays.
    """

    def __init__(self, arrays: Arrays, name: str) -> None:
        self._wide = mx.array(np.ascontiguousarray(arrays[f"{name}.0.weight"][:, :, 0, 0].T, np.float32))
        self._narrow = mx.array(np.ascontiguousarray(arrays[f"{name}.3.weight"][:, :, 0, 0].T, np.float32))
        self._scale, self._offset = _array(arrays, f"{name}.1.weight"), _array(arrays, f"{name}.1.bias")
        mx.eval(self._wide, self._narrow, self._scale, self._offset)

    def __call__(self, whole: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the map (height, width, 64) with the pool's part added."""
        places = whole.reshape(-1, whole.shape[-1])
        parts = [places[start : start + ROWS] for start in range(0, len(places), ROWS)]
        slope, shift = self._norm(parts, len(places))
        made = np.empty_like(places)
        for part, target in zip(parts, np.split(made, range(ROWS, len(places), ROWS)), strict=True):
            x = mx.array(part)
            target[...] = np.array(x + mx.maximum((x @ self._wide) * slope + shift, 0) @ self._narrow)
        return made.reshape(whole.shape)

    def _norm(self, parts: list[NDArray[np.float32]], count: int) -> tuple[mx.array, mx.array]:
        """Return what group norm is by this picture's own mean and variance: x * slope + shift."""
        sums = sum(np.sum(part, axis=0, dtype=np.float64) for part in parts)
        # The mean of a product with a matrix is the mean's product.
        mean = _of_groups((sums / count) @ np.array(self._wide, np.float64))
        centre = mx.array(mean.astype(np.float32))
        squares = np.zeros(WIDE)
        for part in parts:
            squares += np.array(mx.square(mx.array(part) @ self._wide - centre).sum(axis=0))
        deviation = np.sqrt(_of_groups(squares / count) + EPSILON)
        slope = self._scale / mx.array(deviation.astype(np.float32))
        return slope, self._offset - centre * slope


def _of_groups(channels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return in place of each channel its group's mean."""
    return np.repeat(channels.reshape(GROUPS, -1).mean(axis=1), len(channels) // GROUPS)


def _array(arrays: Arrays, name: str) -> mx.array:
    return mx.array(np.ascontiguousarray(arrays[name], np.float32))
