"""Weights of training images: sources, generators and labels count alike, or nearly so."""

from __future__ import annotations

import numpy as np

from d2f.api.arrays import Floats
from d2f.data.dataset import Dataset


def image_weights(dataset: Dataset, balance: float) -> Floats:
    """Return the weight of each image, shape (n,), mean 1, both labels of one sum.

    Parameters
    ----------
    dataset : Dataset
    balance : float
        An image of a (collection, generator, label) with n images has weight n ** (balance - 1) within its
        label: 0 makes all of these alike whatever their size, 1 all images.
    """
    keys = [(image.collection, image.generator, image.label) for image in dataset]
    counts = dict.fromkeys(keys, 0)
    for key in keys:
        counts[key] += 1
    weights = np.array([counts[key] ** (balance - 1.0) for key in keys])
    for label in (0, 1):
        chosen = dataset.labels == label
        weights[chosen] *= len(dataset) / (2 * weights[chosen].sum())
    return weights
