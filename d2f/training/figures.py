"""Figures of cross-validation: over all images, and over two-class collections each on its own."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from d2f.api.arrays import Floats, Labels
from d2f.data.dataset import Dataset
from d2f.measure import balanced_accuracy, roc_auc


@dataclass(frozen=True, slots=True)
class Figures:
    """How out-of-fold scores under one attack tell the labels.

    Parameters
    ----------
    attack : str
        ``clean`` or the attack.
    images : int
        How many were scored.
    auc : float
        Over all of them.
    balanced_accuracy : float
        At the score 0.
    two_class_auc : float
        Mean of the AUC within each collection that holds both labels; NaN without any.
    collections : dict of str to float
        The AUC within each of those.
    """

    attack: str
    images: int
    auc: float
    balanced_accuracy: float
    two_class_auc: float
    collections: dict[str, float]

    def row(self) -> dict[str, object]:
        """Return the figures as plain data."""
        return asdict(self)


def figures(dataset: Dataset, attack: str, scores: Floats) -> Figures:
    """Measure out-of-fold scores (n,), NaN where an image has none."""
    there = ~np.isnan(scores)
    labels = dataset.labels
    collections = np.array([image.collection for image in dataset])
    within = {}
    for name in dataset.collections:
        chosen = there & (collections == name)
        if set(labels[chosen]) == {0, 1}:
            within[name] = roc_auc(labels[chosen], scores[chosen])
    mean = float(np.mean(list(within.values()))) if within else float("nan")
    auc = roc_auc(labels[there], scores[there])
    return Figures(attack, int(there.sum()), auc, _balanced(labels[there], scores[there]), mean, within)


def _balanced(labels: Labels, scores: NDArray[np.float64]) -> float:
    return float(balanced_accuracy(labels, scores, 0.0))
