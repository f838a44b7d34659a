"""The layers of `d2f.layers`: mlx.nn's, with fewer passes over memory on a Linux CPU."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import mlx.core as mx
import mlx.nn as nn

from d2f.mlx_cpu.convolution import Prepared, choose, convolve, is_covered
from d2f.mlx_cpu.forms import Form, Window, spread, sum_of_channels
from d2f.mlx_cpu.parallel import Pieces, on_this_cpu, piecewise
from d2f.mlx_cpu.pooling import average_pool, max_pool


def normalise(pieces: Pieces, weight: mx.array, bias: mx.array, epsilon: float) -> tuple[Pieces, mx.array, mx.array]:
    """Normalise the channels over all pieces.

    `weight, bias` mlx.core.array, shape (channels,).
    """
    width, channels = pieces.arrays[0].shape[-2:]
    part = channels / sum(piece.size for piece in pieces.arrays)

    @mx.custom_function
    def apply(weight: mx.array, bias: mx.array, *arrays: mx.array) -> list[mx.array]:
        x = pieces.with_arrays(arrays)
        mean = _total(x) * part
        middle = spread(mean, width)
        distances = x.map(lambda piece: piece - middle)
        variance = _total(distances.map(mx.square)) * part
        scale = mx.rsqrt(variance + epsilon)
        slope, offset = spread(weight * scale, width), spread(bias, width)
        return [mean, variance, scale, *distances.map(lambda d: d * slope + offset).arrays]

    @apply.vjp
    def gradient(primals: list[mx.array], cotangents: list[mx.array], outputs: list[mx.array]) -> list[mx.array]:
        x, g = pieces.with_arrays(primals[2:]), pieces.with_arrays(cotangents[3:])
        mean, _, scale = outputs[:3]
        middle, slope = spread(mean, width), primals[0] * scale
        by_bias = _total(g)
        by_weight = _total(x.map(lambda piece, one: (piece - middle) * one, g)) * scale
        along = slope * scale * by_weight * part
        offset = spread(slope * by_bias * part - mean * along, width)
        along, slope = spread(along, width), spread(slope, width)
        by_input = g.map(lambda one, piece: one * slope - (piece * along + offset), x)
        return [by_weight, by_bias, *by_input.arrays]

    mean, variance, _, *made = apply(weight, bias, *pieces.arrays)
    return pieces.with_arrays(made), mean, variance


def _total(pieces: Pieces) -> mx.array:
    """Return the sums over all pieces, shape (channels,)."""
    sums = pieces.map(sum_of_channels).arrays
    return sum(sums[1:], start=sums[0])


class _Kept:
    """A convolution's weights, as the forms that have met a map want them."""

    def __init__(self, weight: mx.array) -> None:
        self.weight = weight
        self.by_form: dict[Form, list[mx.array]] = {}

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
        if not (plain and on_this_cpu() and is_covered(x, weight, window)):
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
    """``mlx.nn.MaxPool2d``, and with ``ceil_mode`` also the places that only begin inside the map."""

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


FOLDABLE = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


def fold_batch_norm(model: nn.Module) -> nn.Module:
    """Return a copy for inference in which batch norms are part of the layers before them.

    Batch norm by its running statistics is a factor and an offset for each channel; both can be multiplied
    into the weights before it: one pass over the map less, the same result to rounding (1e-5).
    """
    folded: nn.Module = _copied(model)
    folded.eval()
    for module in folded.modules():
        for holder, before, after in _adjacent(module):
            layer, norm = _get(holder, before), _get(holder, after)
            if isinstance(layer, FOLDABLE) and isinstance(norm, nn.BatchNorm) and norm.track_running_stats:
                _fold(layer, norm)
                _set(holder, after, nn.Identity())
    mx.eval(folded.parameters())
    return folded


def _copied(value: Any) -> Any:
    """Return a copy that shares the arrays, which do not change; pooling layers hold what `copy.deepcopy` refuses."""
    if isinstance(value, nn.Module):
        kind: Any = type(value)
        twin = kind.__new__(kind)
        dict.update(twin, {name: _copied(child) for name, child in value.items()})
        twin.__dict__.update({name: set(one) if isinstance(one, set) else one for name, one in vars(value).items()})
        return twin
    if isinstance(value, dict):
        return {name: _copied(child) for name, child in value.items()}
    return type(value)(map(_copied, value)) if isinstance(value, (list, tuple)) else value


def _adjacent(module: nn.Module) -> Iterator[tuple[Any, Any, Any]]:
    """Yield who holds two layers of which the second takes the first's result alone, and where."""
    if isinstance(module, nn.Sequential):
        for before, after in pairwise(range(len(module.layers))):
            yield module.layers, before, after
    for name, norm in getattr(module, "folds", ()):
        yield module, name, norm


def _get(holder: Any, key: Any) -> nn.Module:
    return holder[key] if isinstance(holder, list) else getattr(holder, key)


def _set(holder: Any, key: Any, value: nn.Module) -> None:
    if isinstance(holder, list):
        holder[key] = value
    else:
        setattr(holder, key, value)


def _fold(layer: nn.Module, norm: nn.BatchNorm) -> None:
    slope, offset = slope_and_offset(norm)
    if "bias" in layer:
        offset = offset + slope * layer.bias
    layer.weight = layer.weight * slope.reshape(-1, *[1] * (layer.weight.ndim - 1))
    layer.bias = offset


LARGE = 2**18
"""Numbers from which on a pass over memory costs more than the custom gradient's own bookkeeping."""


def relu(x: mx.array | Pieces) -> mx.array | Pieces:
    """Return max(x, 0), as ``mlx.nn.relu`` does; its gradient at 0 is 0."""
    if isinstance(x, Pieces):
        return x.map(_relu)
    return _relu(x)


def _relu(x: mx.array) -> mx.array:
    if x.size < LARGE or not on_this_cpu():
        return mx.maximum(x, 0)
    stream = mx.default_stream(mx.default_device())

    @mx.custom_function
    def apply(x: mx.array) -> mx.array:
        return mx.maximum(x, 0)

    @apply.vjp
    def gradient(_: mx.array, cotangent: mx.array, output: mx.array) -> mx.array:
        with mx.stream(stream):
            return mx.sign(output) * cotangent

    result: mx.array = apply(x)
    return result
