"""Weights and pictures drawn from their own names, so that a reference needs no file.

The rule: a generator seeded with the first 8 bytes, big-endian, of the sha256 of the tensor's name; variances
uniform in 0.5..1.5, tensors of two or more dimensions normal with deviation sqrt(1 / values in), factors of batch
norm uniform in 0.5..1.5, everything else of one dimension normal with deviation 0.1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def generator(name: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))


def tensor(name: str, shape: Sequence[int]) -> Array:
    """Return the tensor of a name, float32; a counter is a whole number."""
    drawn = generator(name)
    if name.endswith("num_batches_tracked"):
        return np.array(7, dtype=np.int64)
    if name.endswith("running_var"):
        return drawn.uniform(0.5, 1.5, shape).astype(np.float32)
    if len(shape) > 1:
        return (drawn.standard_normal(shape) * np.sqrt(1 / prod(shape[1:]))).astype(np.float32)
    if name.endswith("weight"):
        return drawn.uniform(0.5, 1.5, shape).astype(np.float32)
    return (drawn.standard_normal(shape) * 0.1).astype(np.float32)


def state_dict(shapes: Mapping[str, Sequence[int]]) -> dict[str, Array]:
    return {name: tensor(name, shape) for name, shape in shapes.items()}


def pictures(name: str, shape: Sequence[int]) -> Array:
    """Return pictures (n, channels, height, width), standard normal, float32."""
    return generator(f"input:{name}").standard_normal(shape).astype(np.float32)
