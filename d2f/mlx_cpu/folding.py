"""Batch norms folded into the convolutions before them, for inference."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import mlx.core as mx
import mlx.nn as nn

from d2f.mlx_cpu.layers import slope_and_offset

FOLDABLE = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


def fold_batch_norm(model: nn.Module) -> nn.Module:
    """Return a copy for inference in which batch norms are part of the layers before them.

    Batch norm by its running statistics is a factor and an offset for each channel; both can be multiplied
    into the weights before it: one pass over the map less, the same result to rounding (1e-5).

    Parameters
    ----------
    model : mlx.nn.Module
        Left as it is. Folded are neighbours in an ``nn.Sequential`` and the pairs that a module names in
        ``folds``, a class attribute such as ``folds = (("conv1", "norm1"),)``: the first is a convolution or a
        linear layer whose result goes to the second, a batch norm, and nowhere else.

    Returns
    -------
    mlx.nn.Module
        In evaluation mode; a folded batch norm has become an ``nn.Identity``.
    """
    folded: nn.Module = _copied(model)
    folded.eval()
    for module in folded.modules():
        for holder, before, after in _pairs(module):
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


def _pairs(module: nn.Module) -> Iterator[tuple[Any, Any, Any]]:
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
