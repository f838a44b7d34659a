"""Losses of logits, with label smoothing: binary cross entropy of one logit, cross entropy of two."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import mlx.nn as nn

from d2f.api.errors import D2FError
from d2f.training.gradient.recipe import Loss


def tile_losses(logits: mx.array, labels: mx.array, smoothing: float = 0.0) -> mx.array:
    """Return the loss of each tile, shape (n,), in nats.

    Binary cross entropy is taken of logits: y log(1 + exp(-x)) + (1 - y) log(1 + exp(x)), which loses no digit where
    x is large. Of probabilities its gradient is not a number once a sigmoid saturates, compiled or not.

    Parameters
    ----------
    logits : mlx.core.array, shape (n,) or (n, 2)
    labels : mlx.core.array, shape (n,), float32
        0 real, 1 generated.
    smoothing : float
        So much of a label is spread evenly over both.
    """
    if logits.ndim == 1:
        aims = labels * (1.0 - smoothing) + smoothing / 2
        return aims * mx.logaddexp(0.0, -logits) + (1.0 - aims) * mx.logaddexp(0.0, logits)
    return nn.losses.cross_entropy(logits, labels.astype(mx.int32), label_smoothing=smoothing, reduction="none")


def scores(logits: mx.array) -> mx.array:
    """Return one score a tile, shape (n,): the logit of generated over real."""
    return logits if logits.ndim == 1 else logits[:, 1] - logits[:, 0]


def check_head(logits: Any, loss: Loss) -> int:
    """Return how many logits a network has; refuse a loss that does not fit them.

    Raises
    ------
    D2FError
        D2F606.
    """
    heads = 1 if logits.ndim == 1 else logits.shape[1]
    wanted = {"auto": (1, 2), "binary-cross-entropy": (1,), "cross-entropy": (2,)}[loss.use]
    if logits.ndim > 2 or heads not in wanted:
        message = (
            f"the network gives {heads} logits a tile, and the loss '{loss.use}' wants {' or '.join(map(str, wanted))}"
        )
        raise D2FError.of("D2F606", message, "set `logits` under the recipe's `with`, or `use` under its `loss`")
    return heads
