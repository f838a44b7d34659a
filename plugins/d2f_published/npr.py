"""NPR (Tan and others 2024, arXiv:2312.10461): what pixels differ by from the first of their 2x2 neighbours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import mlx.core as mx

from d2f.layers import fold_batch_norm
from d2f.models import ResNet, ResNetShape, Stage, Stem, load_arrays, resnet_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHAPE = ResNetShape(Stem(64, 3, 2, pool=True), (Stage(64, 3), Stage(128, 4, 2)), "bottleneck")
"""The first two stages of a ResNet-50, behind a convolution of 3x3."""

WRAPPER = "module."
COUNTER = "num_batches_tracked"


def network(states: Sequence[Mapping[str, NDArray[Any]]], options: Any, name: str) -> Callable[[mx.array], mx.array]:
    """Return the network: normalised pictures (n, height, width, 3), sides even, to logits of `generated` (n,)."""
    named = {key.removeprefix(WRAPPER): array for key, array in states[0].items() if not key.endswith(COUNTER)}
    arrays = resnet_arrays({key.replace("fc1.", "fc."): array for key, array in named.items()})
    model = ResNet(SHAPE)
    load_arrays(model, arrays, name)
    model.eval()
    folded = fold_batch_norm(model)
    return lambda x: folded(residual(x) * (2 / 3))


def residual(x: mx.array) -> mx.array:
    """Return x less x halved and doubled by nearest neighbours: each pixel less the first of its 2x2 (NHWC)."""
    n, height, width, channels = x.shape
    even = x[:, : height // 2 * 2, : width // 2 * 2].reshape(n, height // 2, 2, width // 2, 2, channels)
    return (even - even[:, :, :1, :, :1]).reshape(n, height // 2 * 2, width // 2 * 2, channels)
