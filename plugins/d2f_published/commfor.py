"""Community Forensics (Park and Owens 2025, arXiv:2411.04125): timm's ViT-S/16 at 384 pixels with one logit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import mlx.core as mx

from d2f.models import ViT, ViTShape, load_arrays, vit_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHAPE = ViTShape(384, 16, width=384, depth=12, heads=6, hidden=1536, out=1)

WRAPPER = "vit."
"""What the authors' class puts before every name."""


def network(states: Sequence[Mapping[str, NDArray[Any]]], options: Any, name: str) -> Callable[[mx.array], mx.array]:
    """Return the network: normalised pictures (n, 384, 384, 3) to logits of `generated` (n,)."""
    model = ViT(SHAPE)
    state = {key.removeprefix(WRAPPER): array for key, array in states[0].items()}
    load_arrays(model, vit_arrays(state, "timm", SHAPE), name)
    model.eval()
    return lambda x: model(x)[:, 0]
