"""mlx.nn's layers, computed on a Linux CPU in the forms of this room; elsewhere they are mlx.nn's own.

Constructors, parameters and results are those of mlx.nn (to rounding), so that weights pass from one to the
other. Each also takes a batch cut into `Pieces`.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import mlx.core as mx
import mlx.nn as nn

from d2f.mlx_cpu.convolution import Prepared, choose, convolve, covered
from d2f.mlx_cpu.normalisation import normalise
from d2f.mlx_cpu.pieces import Pieces, piecewise
from d2f.mlx_cpu.pooling import average_pool, max_pool
from d2f.mlx_cpu.streams import on_this_cpu
from d2f.mlx_cpu.window import Window


class _Kept:
    """A convolution's weights, as the forms that have met a map want them."""

    def __init__(self, weight: mx.array) -> None:
        self.weight = weight
        self.by_form: dict[ModuleType, list[mx.array]] = {}

    def prepared_for(self, x: mx.array, window: Window) -> Prepared:
        """Return them for a map."""
        form = choose(x.shape, self.weight.shape[0], window)
        if form not in self.by_form:
            self.by_form[form] = form.prepare(self.weight)
        return Prepared(form, self.by_form[form])


class Conv2d(nn.Conv2d):
    """``mlx.nn.Conv2d``: kernels slid over a map (n, height, width, in_channels)."""

    @piecewise
    def __call__(self, x: mx.array) -> mx.array:
        """Return the map (n, height', width', out_channels)."""
        weight = self["weight"]
        window = Window(weight.shape[1:3], self.stride, self.padding)
        plain = self.groups == 1 and self.dilation in (1, (1, 1))
        if not (plain and on_this_cpu() and covered(x, weight, window)):
            return super().__call__(x)
        prepared = None if self.training else self._kept_for(weight).prepared_for(x, window)
        return convolve(x, weight, window, self.get("bias"), prepared)

    def _kept_for(self, weight: mx.array) -> _Kept:
        kept: _Kept | None = self.__dict__.get("_kept")
        if kept is None or kept.weight is not weight:
            kept = self._kept = _Kept(weight)
        return kept


class BatchNorm(nn.BatchNorm):
    """``mlx.nn.BatchNorm`` of maps (n, height, width, num_features); pieces are normalised together."""

    def __call__(self, x: Any) -> Any:
        """Return the normalised map, and in training update the running statistics."""
        if not isinstance(x, Pieces):
            plain = on_this_cpu() and x.ndim == 4 and x.dtype == mx.float32
            return self(Pieces((x,))).arrays[0] if plain else super().__call__(x)
        if self.track_running_stats and not self.training:
            return x.map(self._by_running_statistics)
        return self._by_batch(x)

    def _by_running_statistics(self, x: mx.array) -> mx.array:
        slope, offset = slope_and_offset(self)
        return x * slope + offset

    def _by_batch(self, pieces: Pieces) -> Pieces:
        channels = pieces.arrays[0].shape[-1]
        count = sum(piece.size for piece in pieces.arrays) // channels
        if self.training and count == 1:
            raise ValueError("BatchNorm training requires more than one value per channel.")
        affine = (self.weight, self.bias) if "weight" in self else (mx.ones(channels), mx.zeros(channels))
        made, mean, variance = normalise(pieces, *affine, self.eps)
        if self.training and self.track_running_stats:
            self._remember(mx.stop_gradient(mean), mx.stop_gradient(variance) * (count / (count - 1)))
        return made

    def _remember(self, mean: mx.array, variance: mx.array) -> None:
        """Let the running statistics follow; the variance among them is the unbiased one."""
        keep, old_mean, old_variance = 1 - self.momentum, self["running_mean"], self["running_var"]
        self.running_mean = keep * old_mean + self.momentum * mean
        self.running_var = keep * old_variance + self.momentum * variance


class MaxPool2d(nn.MaxPool2d):
    """``mlx.nn.MaxPool2d``, and with ``ceil_mode`` also the places that only begin inside the map.

    Parameters
    ----------
    kernel_size, stride, padding : int or (int, int)
        As in mlx.nn.
    ceil_mode : bool
        Round the number of places up; the last may reach beyond the margin, but starts before it.
    """

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False) -> None:
        super().__init__(kernel_size, stride, padding)
        self._ceil_mode = ceil_mode

    @piecewise
    def __call__(self, x: mx.array) -> mx.array:
        """Return the largest values (n, height', width', channels)."""
        window = _pool_window(self)
        beyond = _beyond(window, *x.shape[1:3]) if self._ceil_mode else (0, 0)
        if on_this_cpu() and x.ndim == 4 and x.dtype == mx.float32:
            return max_pool(x, window, beyond)
        if beyond != (0, 0):
            margins = ((0, 0), (0, beyond[0]), (0, beyond[1]), (0, 0))
            x = mx.pad(x, margins, constant_values=mx.array(-float("inf"), x.dtype))
        return super().__call__(x)


class AvgPool2d(nn.AvgPool2d):
    """``mlx.nn.AvgPool2d``: means under a window, margins counting as zeros."""

    @piecewise
    def __call__(self, x: mx.array) -> mx.array:
        """Return the means (n, height', width', channels)."""
        if on_this_cpu() and x.ndim == 4 and x.dtype == mx.float32:
            return average_pool(x, _pool_window(self))
        return super().__call__(x)


def slope_and_offset(norm: nn.BatchNorm) -> tuple[mx.array, mx.array]:
    """Return what batch norm is by its running statistics: x * slope + offset."""
    slope = mx.rsqrt(norm.running_var + norm.eps)
    if "weight" in norm:
        slope = slope * norm.weight
        return slope, norm.bias - norm.running_mean * slope
    return slope, -norm.running_mean * slope


def _pool_window(pool: Any) -> Window:
    return Window(tuple(pool._kernel_size), tuple(pool._stride), tuple(margin[0] for margin in pool._padding))


def _beyond(window: Window, height: int, width: int) -> tuple[int, int]:
    """Return how many rows and columns more the places of ceil mode need."""
    needed = []
    for size, kernel, step, margin in zip((height, width), window.kernel, window.stride, window.padding, strict=True):
        reach = size + 2 * margin - kernel
        places = -(-reach // step) + 1
        if (places - 1) * step >= size + margin:
            places -= 1
        needed.append(max(0, (places - 1) * step - reach))
    return needed[0], needed[1]
