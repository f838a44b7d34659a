"""Figures of ranking and of verdicts; weights of shape (n,) give a number, of (rows, n) an array of (rows,)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from d2f.api.inputs import Floats
from d2f.metrics.intervals import samples

Mask = NDArray[np.bool_]


class Ranked:
    """Figures that only the order of the values decides, for each row of weights; ties enter together."""

    def __init__(self, labels: ArrayLike, values: ArrayLike, weights: ArrayLike | None = None) -> None:
        given = self._given = samples(labels, values, weights)
        order = np.argsort(-given.values, kind="stable")
        first = runs(given.values[order])
        generated = given.generated[order]
        self.real, self.generated = (
            summed(given.weights[:, order] * of_class, first) for of_class in (~generated, generated)
        )
        self.false, self.true = np.cumsum(self.real, axis=1), np.cumsum(self.generated, axis=1)

    def auc(self) -> Any:
        """Area under the ROC curve."""
        above = self.generated * (self.false[:, -1:] - self.false + self.real / 2)
        return self._given.of(divided(above.sum(axis=1), self.false[:, -1] * self.true[:, -1]))

    def average_precision(self) -> Any:
        """Sum over thresholds of precision times the gain in recall."""
        precision = divided(self.true, self.true + self.false, otherwise=0.0)
        return self._given.of(divided((precision * self.generated).sum(axis=1), self.true[:, -1]))

    def true_positive_rate_at(self, false_positive_rate: float) -> Any:
        """Greatest share of generated images found while at most this share of photographs is."""
        # Sums of weights carry rounding; without the slack a rate met exactly would be lost.
        allowed = self.false <= (false_positive_rate + 1e-12) * self.false[:, -1:]
        found = np.where(allowed, self.true, 0.0).max(axis=1, initial=0.0)
        return self._given.of(divided(np.where(self.false[:, -1] > 0, found, np.nan), self.true[:, -1]))


def roc_auc(labels: ArrayLike, values: ArrayLike, weights: ArrayLike | None = None) -> Any:
    """Area under the ROC curve: the probability that a generated image's value exceeds a photograph's.

    Ties count one half; the Mann-Whitney U over the product of the two classes' weights.

    Source: Hanley and McNeil, Radiology 143 (1982), doi:10.1148/radiology.143.1.7063747.

    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    return Ranked(labels, values, weights).auc()


def like_roc_auc(
    labels: ArrayLike,
    values: ArrayLike,
    trait: ArrayLike,
    weights: ArrayLike | None = None,
    within: float = 0.05,
) -> Any:
    """Area under the ROC curve over pairs that are alike in a trait, such as width over height.

    What the trait alone tells of the label then counts for nothing.

    `trait` is above 0; the larger of a pair is at most 1 + `within` times the smaller one.

    >>> like_roc_auc([0, 0, 1], [0.1, 0.9, 0.5], [1.5, 1.0, 1.02])
    0.0
    """
    given = samples(labels, values, weights)
    logs = np.log(np.asarray(trait, dtype=np.float64))
    real = np.flatnonzero(~given.generated)
    order = real[np.argsort(logs[real], kind="stable")]
    first = np.searchsorted(logs[order], logs - np.log1p(within) - 1e-12, "left")
    last = np.searchsorted(logs[order], logs + np.log1p(within) + 1e-12, "right")
    above, total = (np.zeros(len(given.weights)) for _ in range(2))
    for place in np.flatnonzero(given.generated):
        others = order[first[place] : last[place]]
        won = (given.values[others] < given.values[place]) + 0.5 * (given.values[others] == given.values[place])
        above += given.weights[:, place] * (given.weights[:, others] @ won)
        total += given.weights[:, place] * given.weights[:, others].sum(axis=1)
    return given.of(divided(above, total))


def average_precision(labels: ArrayLike, values: ArrayLike, weights: ArrayLike | None = None) -> Any:
    """Sum over thresholds of precision times the gain in recall, without interpolation.

    Parameters and ties are those of `roc_auc`: images of one value enter together.

    >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    return Ranked(labels, values, weights).average_precision()


def true_positive_rate_at(
    labels: ArrayLike, values: ArrayLike, false_positive_rate: float, weights: ArrayLike | None = None
) -> Any:
    """Greatest share of generated images called so while at most this share of photographs is.

    An image is called generated where its value is at or above the threshold; thresholds are the values
    themselves, without interpolation.
    """
    return Ranked(labels, values, weights).true_positive_rate_at(false_positive_rate)


@dataclass(frozen=True, slots=True)
class Rates:
    """Weighted shares, each in [0, 1]; NaN where the class has no weight.

    `miss` is the share of generated images called `real`; `inconclusive` are called neither.
    """

    true_positive: float
    false_positive: float
    true_negative: float
    miss: float
    inconclusive: float
    inconclusive_real: float
    inconclusive_generated: float


def rates(
    labels: ArrayLike,
    probabilities: ArrayLike,
    real_below: float,
    generated_above: float,
    weights: ArrayLike | None = None,
) -> Rates:
    """Rates of verdicts: `generated` above one threshold, `real` below the other, both strictly.

    `probabilities` as compared with the thresholds: rounded already, where verdicts round. Raises ValueError: where the
    thresholds cross.
    """
    if real_below > generated_above:
        raise ValueError(f"real_below {real_below} must be at most generated_above {generated_above}")
    given = samples(labels, probabilities, weights)
    called, cleared = given.values > generated_above, given.values < real_below
    neither, made, real = ~(called | cleared), given.generated, ~given.generated
    anyone = np.ones(len(made), dtype=bool)
    shares = ((called, made), (called, real), (cleared, real), (cleared, made), (neither, anyone), (neither, real))
    found = [given.of(share(held, among, given.weights)) for held, among in (*shares, (neither, made))]
    return Rates(*found)


def balanced_accuracy(
    labels: ArrayLike, values: ArrayLike, threshold: float = 0.5, weights: ArrayLike | None = None
) -> Any:
    """Mean of the shares of generated images at or above a threshold and of photographs below it.

    >>> balanced_accuracy([0, 0, 0, 1], [0.2, 0.3, 0.9, 0.5])
    0.8333333333333333
    """
    given = samples(labels, values, weights)
    right = (given.values >= threshold) == given.generated
    halves = share(right, given.generated, given.weights) + share(right, ~given.generated, given.weights)
    return given.of(halves / 2)


def share(held: Mask, among: Mask, weights: Floats) -> Floats:
    """Share of the images in `among` for which `held` is true, for each row of weights, shape (rows, n)."""
    return divided(weights @ (held & among), weights @ among.astype(np.float64))


def runs(ordered: Floats) -> NDArray[np.int64]:
    """Return where runs of equal values begin, in values of shape (n,) that are in order."""
    return np.flatnonzero(np.concatenate([[True], np.diff(ordered) != 0])[: len(ordered)])


def summed(values: Floats, first: NDArray[np.int64]) -> Floats:
    """Sums over runs of columns that begin at `first`."""
    sums: Floats = values if len(first) == values.shape[1] else np.add.reduceat(values, first, axis=1)
    return sums


def divided(above: Floats, below: Floats, otherwise: float = np.nan) -> Floats:
    """Quotients, elementwise; `otherwise` where the divisor is 0."""
    above, below = np.broadcast_arrays(above, below)
    quotient: Floats = np.divide(above, below, out=np.full(above.shape, otherwise), where=below > 0)
    return quotient
