"""How much each image counts in a fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from d2f.api.arrays import Floats, Labels
from d2f.data.dataset import Labelled


def image_weights(images: Iterable[Labelled]) -> Floats:
    """Return weights that sum to 1, half of it on each label that is there.

    Within a label, images of one collection and generator (or source, for photographs) share a weight in
    proportion to the square root of their number: a large source counts more than a small one, without
    drowning it.

    Returns
    -------
    numpy.ndarray, shape (n,), float64
    """
    listed = list(images)
    keys = [(image.label, image.collection, image.generator if image.label else image.source) for image in listed]
    sizes = Counter(keys)
    raw = np.array([sizes[key] ** -0.5 for key in keys])
    return balanced(raw, np.array([image.label for image in listed], dtype=np.int8))


def balanced(weights: Floats, labels: Labels) -> Floats:
    """Return weights scaled so that both labels weigh the same and all sum to 1.

    Where one label is missing, the other weighs 1.
    """
    totals = np.array([weights[labels == label].sum() for label in (0, 1)])
    shares = totals * np.count_nonzero(totals)
    scaled: Floats = weights / shares[labels.astype(np.int64)]
    return scaled


def effective_count(weights: Floats) -> float:
    """How many equally weighted images these weights are worth: (sum w)^2 / sum w^2 (Kish, 1965)."""
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0
