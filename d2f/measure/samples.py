"""What every figure is given, checked once: values, labels, weights."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from d2f.api.arrays import Floats


class Samples(NamedTuple):
    """Values, whether each is of a generated image, and weights, each of shape (n,)."""

    values: Floats
    generated: np.ndarray
    weights: Floats


def samples(labels: ArrayLike, values: ArrayLike, weights: ArrayLike | None = None) -> Samples:
    """Check shapes, labels, values and weights.

    Raises
    ------
    ValueError
        Where shapes differ, a label is neither 0 nor 1, a value is not finite, or a weight is negative or not finite.
    """
    generated = np.asarray(labels)
    found = np.asarray(values, dtype=np.float64)
    given = np.ones(found.shape) if weights is None else np.asarray(weights, dtype=np.float64)
    if found.ndim != 1 or generated.shape != found.shape or given.shape != found.shape:
        raise ValueError(f"labels {generated.shape}, values {found.shape} and weights {given.shape} must be equal (n,)")
    if not np.isin(generated, (0, 1)).all():
        raise ValueError("labels must be 0 (real) or 1 (generated)")
    if not np.isfinite(found).all():
        raise ValueError("values must be finite")
    if not (np.isfinite(given).all() and (given >= 0).all()):
        raise ValueError("weights must be finite and at least 0")
    return Samples(found, generated.astype(bool), given)
