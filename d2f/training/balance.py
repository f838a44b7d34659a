"""Weights of training images: sources, generators and labels count alike, or nearly so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from d2f.api.arrays import Floats
from d2f.data.columns import column_value
from d2f.data.dataset import Dataset, Labelled
from d2f.training.recipe import Emphasis, Having


def image_weights(dataset: Dataset, balance: float, emphasis: Sequence[Emphasis] = ()) -> Floats:
    """Return the weight of each image, shape (n,), mean 1, both labels of one sum.

    Parameters
    ----------
    dataset : Dataset
    balance : float
        An image of a (collection, generator, label) with n images has weight n ** (balance - 1) within its
        label: 0 makes all of these alike whatever their size, 1 all images.
    emphasis : sequence of Emphasis
        Factors for images that have a value in a column.
    """
    keys = [(image.collection, image.generator, image.label) for image in dataset]
    counts = Counter(keys)
    weights = np.array([counts[key] ** (balance - 1.0) for key in keys])
    for each in emphasis:
        weights *= [each.factor if has(image, each) else 1.0 for image in dataset]
    for label in (0, 1):
        chosen = dataset.labels == label
        weights[chosen] *= len(dataset) / (2 * weights[chosen].sum())
    return weights


def has(image: Labelled, having: Having) -> bool:
    """Whether an image has a value in a column."""
    return column_value(image, having.column) == having.equals


def with_any(dataset: Dataset, havings: Sequence[Having]) -> NDArray[np.bool_]:
    """Return which images have any of the values, shape (n,)."""
    return np.array([any(has(image, each) for each in havings) for image in dataset], dtype=bool)
