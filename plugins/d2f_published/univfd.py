"""UnivFD (Ojha, Li and Lee 2023, arXiv:2302.10174): a linear head on the embedding of OpenAI's CLIP ViT-L/14.

The head is the authors'; the tower is read from OpenAI's names or from transformers'. The embedding is not normalised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import mlx.core as mx

from d2f.models import ViT, ViTShape, load_arrays, vit_arrays
from d2f.weights import strict

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHAPE = ViTShape(
    224,
    14,
    width=1024,
    depth=24,
    heads=16,
    hidden=4096,
    activation="quick-gelu",
    epsilon=1e-5,
    norm_before=True,
    out=768,
)
OPENAI = "class_embedding"
"""A name that the tower has in OpenAI's words alone."""


def network(states: Sequence[Mapping[str, NDArray[Any]]], options: Any, name: str) -> Callable[[mx.array], mx.array]:
    """Return the network: normalised pictures (n, 224, 224, 3) to logits of `generated` (n,)."""
    head, state = states
    strict(head, {"weight": (1, SHAPE.out), "bias": (1,)}, name)
    model = ViT(SHAPE)
    load_arrays(model, vit_arrays(state, "openai" if OPENAI in state else "clip", SHAPE), options.tower)
    model.eval()
    weight, bias = mx.array(head["weight"][0]), mx.array(head["bias"])
    mx.eval(weight, bias)
    return lambda x: model(x) @ weight + bias
