"""Seeded scores of two classes, for what is fitted to scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2f.api.inputs import Floats, Labels

SEPARATION = 2.0
"""Distance of the classes' means, in standard deviations: the true log-likelihood ratio of a score s is 2 s."""


def scores_of_two_classes(count: int = 400, direction: float = 1.0, seed: int = 3) -> tuple[Floats, Labels, Floats]:
    """Return scores (n,), labels (n,) and weights (n,) of bell-shaped classes around -1 and 1.

    Of `count` scores of both classes together a quarter are real; weights make both labels weigh alike. They are
    multiplied by `direction`: below 0, a higher score means a photograph.

    >>> scores, labels, weights = scores_of_two_classes(8)
    >>> labels.tolist(), weights.round(3).tolist()
    ([0, 0, 1, 1, 1, 1, 1, 1], [0.25, 0.25, 0.083, 0.083, 0.083, 0.083, 0.083, 0.083])
    """
    labels = (np.arange(count) >= count // 4).astype(np.int8)
    scores = np.random.default_rng(seed).normal(SEPARATION * (labels - 0.5), 1.0)
    return direction * scores, labels, even_weights(labels)


def members_of_scores(members: int, count: int = 300, seed: int = 4) -> tuple[Floats, Labels, Floats]:
    """Return calibrated probabilities (n, members), labels and weights; some members have none (NaN), no row all.

    Members are independent, and each row keeps its first member.
    """
    rng = np.random.default_rng(seed)
    labels = (rng.random(count) < 0.6).astype(np.int8)
    scores = rng.normal(SEPARATION * (labels[:, None] - 0.5), 1.0, (count, members))
    probabilities = 1.0 / (1.0 + np.exp(-SEPARATION * scores))
    absent = rng.random((count, members)) < 0.15
    absent[:, 0] = False
    return np.where(absent, np.nan, np.clip(probabilities, 1e-6, 1 - 1e-6)), labels, even_weights(labels)


def even_weights(labels: NDArray[Any]) -> Floats:
    """Return weights (n,), sum 1, under which both labels weigh alike."""
    counts = np.bincount(labels, minlength=2)
    return np.asarray(0.5 / counts[labels], dtype=np.float64)
