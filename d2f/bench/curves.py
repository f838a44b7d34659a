"""The curves of one subject on one copy, thinned for a page: ROC, reliability, score histograms."""

from __future__ import annotations

from typing import Any

import numpy as np

from d2f.api.arrays import Floats, Labels
from d2f.bench import drawn
from d2f.bench.subject import Subject
from d2f.engine.logits import expit

ROC_POINTS = 150
BINS = 10
HISTOGRAM_BINS = 30


def curves(subject: Subject, labels: Labels, copy: int) -> dict[str, Any]:
    """Return ``roc``, ``histogram`` and, of a calibrated subject, ``reliability``, as plain data."""
    values = subject.values[:, copy]
    held = np.isfinite(values) | subject.calibrated
    values, labels = np.nan_to_num(values[held], nan=0.0), labels[held]
    if len(set(labels.tolist())) < 2:
        return {}
    shown = expit(values) if subject.calibrated else _unit(values)
    found = {"roc": _roc(labels, values), "histogram": _histogram(labels, shown)}
    if subject.calibrated:
        found["reliability"] = _reliability(labels, shown)
    return found


def _roc(labels: Labels, values: Floats) -> list[list[float]]:
    """Points (false-positive rate, true-positive rate) of the curve, corners first, at most `ROC_POINTS` of them."""
    ranked = drawn.Ranked(labels, values, np.ones((1, len(labels))))
    false, true = ranked.false[0] / ranked.false[0, -1], ranked.true[0] / ranked.true[0, -1]
    points = np.concatenate([[[0.0, 0.0]], np.stack([false, true], axis=1)])
    if len(points) > ROC_POINTS:
        places = np.unique(np.linspace(0, len(points) - 1, ROC_POINTS).round().astype(int))
        points = points[places]
    return [[round(float(x), 4), round(float(y), 4)] for x, y in points]


def _reliability(labels: Labels, probability: Floats) -> list[list[float]]:
    """Of each bin of equal width that holds something: mean probability, share generated, share of all images.

    Both labels weigh alike, for probabilities are at even prior.
    """
    weights = drawn.even(labels, np.ones((1, len(labels))))[0]
    at = np.minimum((probability * BINS).astype(int), BINS - 1)
    mass = np.bincount(at, weights, BINS)
    mean, share = (np.bincount(at, weights * of, BINS) for of in (probability, labels))
    return [
        [round(float(mean[i] / mass[i]), 4), round(float(share[i] / mass[i]), 4), round(float(mass[i]), 4)]
        for i in range(BINS)
        if mass[i] > 0
    ]


def _histogram(labels: Labels, shown: Floats) -> dict[str, list[float]]:
    """Share of each class's images in each of `HISTOGRAM_BINS` bins over [0, 1]."""
    return {
        word: [round(float(count), 4) for count in _shares(shown[labels == label])]
        for label, word in enumerate(("real", "generated"))
    }


def _shares(shown: Floats) -> Floats:
    counts: Floats = np.histogram(shown, HISTOGRAM_BINS, (0.0, 1.0))[0] / max(1, len(shown))
    return counts


def _unit(values: Floats) -> Floats:
    """Raw scores by rank, in [0, 1]: their scale is not known."""
    distinct, at = np.unique(values, return_inverse=True)
    unit: Floats = at / max(1, len(distinct) - 1)
    return unit
