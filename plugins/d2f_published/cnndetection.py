"""CNNDetection (Wang and others 2020, arXiv:1912.11035): torchvision's ResNet-50 with one logit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import mlx.core as mx

from d2f.layers import fold_batch_norm
from d2f.models import build_model, from_published, load_arrays, model_config

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONFIG = model_config({"architecture": "resnet", "depth": 50, "logits": 1})


def network(states: Sequence[Mapping[str, NDArray[Any]]], options: Any, name: str) -> Callable[[mx.array], mx.array]:
    """Return the network: normalised pictures (n, height, width, 3) to logits of `generated` (n,)."""
    model = build_model(CONFIG)
    load_arrays(model, from_published(states[0], "torchvision").arrays, name)
    model.eval()
    folded: Callable[[mx.array], mx.array] = fold_batch_norm(model)
    return folded
