"""Figures of merit on many bootstrap draws at once.

Each takes weights of shape (draws, n) and returns a figure of shape (draws,), NaN where it is not defined; with one
row of weights it is the figure of the same name in `d2f.metrics`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from d2f.api.inputs import Floats, Labels

Mask = NDArray[np.bool_]


class Ranked:
    """Figures that only the order of the values decides; ties enter together.

    Parameters
    ----------
    labels : numpy.ndarray, shape (n,)
        0 real, 1 generated.
    values : numpy.ndarray, shape (n,), float64
        Finite; greater means more generated.
    weights : numpy.ndarray, shape (draws, n), float64
        At least 0.
    """

    def __init__(self, labels: Labels, values: Floats, weights: Floats) -> None:
        order = np.argsort(-values, kind="stable")
        first = np.flatnonzero(np.concatenate([[True], np.diff(values[order]) != 0]))
        generated = labels[order] == 1
        self.real, self.generated = (_summed(weights[:, order] * of, first) for of in (~generated, generated))
        self.false, self.true = np.cumsum(self.real, axis=1), np.cumsum(self.generated, axis=1)

    def auc(self) -> Floats:
        """Area under the ROC curve."""
        above = self.generated * (self.false[:, -1:] - self.false + self.real / 2)
        return _divided(above.sum(axis=1), self.false[:, -1] * self.true[:, -1])

    def average_precision(self) -> Floats:
        """Sum over thresholds of precision times the gain in recall."""
        precision = _divided(self.true, self.true + self.false, otherwise=0.0)
        return _divided((precision * self.generated).sum(axis=1), self.true[:, -1])

    def true_positive_rate_at(self, false_positive_rate: float) -> Floats:
        """Greatest share of generated images found while at most this share of photographs is."""
        # Sums of weights carry rounding; without the slack a rate met exactly would be lost.
        allowed = self.false <= (false_positive_rate + 1e-12) * self.false[:, -1:]
        found = np.where(allowed, self.true, 0.0).max(axis=1)
        return _divided(np.where(self.false[:, -1] > 0, found, np.nan), self.true[:, -1])


def share(held: Mask, among: Mask, weights: Floats) -> Floats:
    """Share of the images in `among` for which `held` is true."""
    return _divided(weights @ (held & among), weights @ among.astype(np.float64))


def balanced_accuracy(labels: Labels, values: Floats, weights: Floats, threshold: float = 0.0) -> Floats:
    """Mean of the shares of generated images at or above the threshold and of photographs below it."""
    right = (values >= threshold) == (labels == 1)
    halves: Floats = (share(right, labels == 1, weights) + share(right, labels == 0, weights)) / 2
    return halves


def even(labels: Labels, weights: Floats) -> Floats:
    """Weights with half of their sum on each label; NaN on draws where a label has none."""
    halves: Floats = np.where(
        labels == 1,
        _divided(weights, 2 * (weights @ (labels == 1).astype(np.float64))[:, None]),
        _divided(weights, 2 * (weights @ (labels == 0).astype(np.float64))[:, None]),
    )
    return halves


def brier(labels: Labels, probabilities: Floats, weights: Floats) -> Floats:
    """Mean squared distance between probability and label, both labels weighing alike."""
    found: Floats = even(labels, weights) @ (probabilities - labels) ** 2
    return found


def log_likelihood_ratio_cost(labels: Labels, llrs: Floats, weights: Floats) -> Floats:
    """Cllr in bits."""
    bits = np.logaddexp(0.0, np.where(labels == 1, -llrs, llrs)) / np.log(2)
    found: Floats = even(labels, weights) @ bits
    return found


def expected_calibration_error(labels: Labels, probabilities: Floats, weights: Floats, bins: int = 15) -> Floats:
    """Calibration error over bins of equal mass, labels weighing alike; images of one probability stay together."""
    order = np.argsort(probabilities, kind="stable")
    first = np.flatnonzero(np.concatenate([[True], np.diff(probabilities[order]) != 0]))
    given = even(labels, weights)[:, order]
    mass = _summed(given, first)
    gaps = _summed(given * (probabilities - labels)[order], first)
    with np.errstate(invalid="ignore"):
        middle = (np.cumsum(mass, axis=1) - mass / 2) / mass.sum(axis=1, keepdims=True)
    at = np.minimum(np.nan_to_num(middle * bins).astype(np.int64), bins - 1)
    at += bins * np.arange(len(weights))[:, None]
    by_bin = np.bincount(at.ravel(), gaps.ravel(), minlength=bins * len(weights)).reshape(len(weights), bins)
    errors: Floats = np.abs(by_bin).sum(axis=1)
    return errors


def _summed(values: Floats, first: NDArray[np.int64]) -> Floats:
    """Sums over runs of columns that begin at `first`."""
    sums: Floats = values if len(first) == values.shape[1] else np.add.reduceat(values, first, axis=1)
    return sums


def _divided(above: Floats, below: Floats, otherwise: float = np.nan) -> Floats:
    above, below = np.broadcast_arrays(above, below)
    quotient: Floats = np.divide(above, below, out=np.full(above.shape, otherwise), where=below > 0)
    return quotient
