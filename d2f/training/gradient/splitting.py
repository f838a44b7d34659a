"""A batch that does not fit the device's memory, added in halves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx
from mlx.utils import tree_map

from d2f.training.gradient.stepping import Stepper

MEMORY_WORDS = ("alloc", "memory")
"""What a device says that has none left."""


def add_in_parts(stepper: Stepper, pixels: Any, labels: Any, weights: Any, say: Callable[[str], None]) -> float:
    """Add a batch to an update and return its loss; where memory does not suffice, in halves, which is said.

    On Metal and CUDA a failed allocation raises; on a CPU it ends the process: see `d2f.training.gradient.memory`.
    """
    before = tree_map(lambda array: array, stepper.network.parameters()), stepper.pending
    try:
        return float(stepper.add(pixels, labels, weights).item())
    except RuntimeError as error:
        if len(pixels) < 2 or not any(word in str(error).lower() for word in MEMORY_WORDS):
            raise
    stepper.network.update(before[0])
    stepper.pending = before[1]
    mx.clear_cache()
    say(f"a batch of {len(pixels)} tiles does not fit the device's memory: it is taken in halves")
    middle, total = len(pixels) // 2, 0.0
    for half in (slice(None, middle), slice(middle, None)):
        total += add_in_parts(stepper, pixels[half], labels[half], weights[half], say)
    return total
