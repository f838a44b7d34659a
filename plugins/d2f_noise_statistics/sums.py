"""Means and products of planes, summed in one fixed order: never through a BLAS, whose order follows its threads."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Means: TypeAlias = Any
"""float32 means over the last two axes: a number for a plane, an array for a stack."""


def mean(planes: NDArray[np.float32]) -> Means:
    """Return the mean over the last two axes."""
    return np.add.reduce(planes, axis=(-2, -1)) / np.float32(planes.shape[-1] * planes.shape[-2])


def mean_product(first: NDArray[np.float32], second: NDArray[np.float32]) -> Means:
    """Return the mean of products over the last two axes."""
    return np.einsum("...ij,...ij->...", first, second) / np.float32(first.shape[-1] * first.shape[-2])


def shifted(planes: NDArray[np.float32], down: int, right: int, average: Means, variance: Means) -> Means:
    """Return the autocorrelation of planes at a shift, given their means and variances."""
    rows, columns = planes.shape[-2] - down, planes.shape[-1] - right
    product = mean_product(planes[..., :rows, :columns], planes[..., down:, right:])
    return (product - average * average) / variance


def byte_counts(values: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count each of the 256 values of a plane; Pillow does it in a third of ``numpy.bincount``'s time."""
    return np.array(Image.fromarray(values).histogram(), dtype=np.int64)
