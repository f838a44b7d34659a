"""Rates at thresholds: what a user of the verdicts meets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from d2f.api.inputs import Floats
from d2f.metrics.intervals import Samples, samples


def roc_auc(labels: ArrayLike, values: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Area under the ROC curve: the probability that a generated image's value exceeds a photograph's.

    Ties count one half; the Mann-Whitney U over the product of the two classes' weights.

    Parameters
    ----------
    labels : array_like, shape (n,)
        0 real, 1 generated.
    values : array_like, shape (n,)
        Finite; greater means more generated.
    weights : array_like, shape (n,), optional
        At least 0.

    Returns
    -------
    float
        In [0, 1]; NaN where a class has no weight.

    References
    ----------
    Hanley and McNeil, Radiology 143 (1982), doi:10.1148/radiology.143.1.7063747.

    Examples
    --------
    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    real, generated = _by_value(samples(labels, values, weights))
    total = real.sum() * generated.sum()
    if total == 0:
        return float("nan")
    below = np.cumsum(real) - real
    return float((generated * (below + real / 2)).sum() / total)


def like_roc_auc(
    labels: ArrayLike,
    values: ArrayLike,
    trait: ArrayLike,
    weights: ArrayLike | None = None,
    within: float = 0.05,
) -> float:
    """Area under the ROC curve over pairs that are alike in a trait, such as width over height.

    What the trait alone tells of the label then counts for nothing.

    Parameters
    ----------
    labels : array_like, shape (n,)
        0 real, 1 generated.
    values : array_like, shape (n,)
        Finite; greater means more generated.
    trait : array_like, shape (n,)
        Above 0.
    weights : array_like, shape (n,), optional
        At least 0.
    within : float, default 0.05
        A pair's larger trait is at most 1 + `within` times the smaller one.

    Returns
    -------
    float
        In [0, 1]; NaN where no pair is alike.

    Examples
    --------
    >>> like_roc_auc([0, 0, 1], [0.1, 0.9, 0.5], [1.5, 1.0, 1.02])
    0.0
    """
    given = samples(labels, values, weights)
    logs = np.log(np.asarray(trait, dtype=np.float64))
    real = np.flatnonzero(~given.generated)
    order = real[np.argsort(logs[real], kind="stable")]
    first = np.searchsorted(logs[order], logs - np.log1p(within) - 1e-12, "left")
    last = np.searchsorted(logs[order], logs + np.log1p(within) + 1e-12, "right")
    above = total = 0.0
    for place in np.flatnonzero(given.generated):
        others = order[first[place] : last[place]]
        won = (given.values[others] < given.values[place]) + 0.5 * (given.values[others] == given.values[place])
        above += given.weights[place] * float(given.weights[others] @ won)
        total += given.weights[place] * float(given.weights[others].sum())
    return float(above / total) if total else float("nan")


def average_precision(labels: ArrayLike, values: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Sum over thresholds of precision times the gain in recall, without interpolation.

    Parameters and ties are those of `roc_auc`: images of one value enter together.

    Returns
    -------
    float
        In [0, 1]; NaN where no generated image has weight.

    Examples
    --------
    >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    real, generated = _by_value(samples(labels, values, weights))
    if generated.sum() == 0:
        return float("nan")
    hits = np.cumsum(generated[::-1])
    called = hits + np.cumsum(real[::-1])
    precision = np.divide(hits, called, out=np.zeros_like(hits), where=called > 0)
    return float((precision * generated[::-1]).sum() / generated.sum())


def true_positive_rate_at(
    labels: ArrayLike, values: ArrayLike, false_positive_rate: float, weights: ArrayLike | None = None
) -> float:
    """Greatest share of generated images called so while at most this share of photographs is.

    An image is called generated where its value is at or above the threshold; thresholds are the values
    themselves, without interpolation.

    Parameters
    ----------
    labels, values, weights
        As for `roc_auc`.
    false_positive_rate : float
        In [0, 1].

    Returns
    -------
    float
        In [0, 1]; NaN where a class has no weight.
    """
    real, generated = _by_value(samples(labels, values, weights))
    if real.sum() == 0 or generated.sum() == 0:
        return float("nan")
    false_positives = np.cumsum(real[::-1]) / real.sum()
    true_positives = np.cumsum(generated[::-1]) / generated.sum()
    # Sums of weights carry rounding; without the slack a rate met exactly would be lost.
    allowed = true_positives[false_positives <= false_positive_rate + 1e-12]
    return float(allowed[-1]) if len(allowed) else 0.0


def _by_value(given: Samples) -> tuple[Floats, Floats]:
    """Weight of photographs and of generated images at each distinct value, ascending."""
    distinct, at = np.unique(given.values, return_inverse=True)
    real, generated = (
        np.bincount(at, given.weights * of_class, minlength=len(distinct)).astype(np.float64)
        for of_class in (~given.generated, given.generated)
    )
    return real, generated


@dataclass(frozen=True, slots=True)
class Rates:
    """Weighted shares, each in [0, 1]; NaN where the class has no weight.

    Parameters
    ----------
    true_positive : float
        Of generated images, those called `generated`.
    false_positive : float
        Of photographs, those called `generated`.
    true_negative : float
        Of photographs, those called `real`.
    miss : float
        Of generated images, those called `real`.
    inconclusive : float
        Of all images, those called neither.
    inconclusive_real, inconclusive_generated : float
        The same within one class.
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

    Parameters
    ----------
    labels : array_like, shape (n,)
        0 real, 1 generated.
    probabilities : array_like, shape (n,)
        As compared with the thresholds: rounded already, where verdicts round.
    real_below, generated_above : float
        `real_below` at most `generated_above`.
    weights : array_like, shape (n,), optional
        At least 0.

    Raises
    ------
    ValueError
        Where the thresholds cross.
    """
    if real_below > generated_above:
        raise ValueError(f"real_below {real_below} must be at most generated_above {generated_above}")
    values, generated, given = samples(labels, probabilities, weights)
    called, cleared = values > generated_above, values < real_below
    neither = ~(called | cleared)
    return Rates(
        true_positive=_share(called, given * generated),
        false_positive=_share(called, given * ~generated),
        true_negative=_share(cleared, given * ~generated),
        miss=_share(cleared, given * generated),
        inconclusive=_share(neither, given),
        inconclusive_real=_share(neither, given * ~generated),
        inconclusive_generated=_share(neither, given * generated),
    )


def balanced_accuracy(
    labels: ArrayLike, values: ArrayLike, threshold: float = 0.5, weights: ArrayLike | None = None
) -> float:
    """Mean of the shares of generated images at or above a threshold and of photographs below it.

    Returns
    -------
    float
        In [0, 1]; NaN where a class has no weight.

    Examples
    --------
    >>> balanced_accuracy([0, 0, 0, 1], [0.2, 0.3, 0.9, 0.5])
    0.8333333333333333
    """
    found, generated, given = samples(labels, values, weights)
    right = (found >= threshold) == generated
    return (_share(right, given * generated) + _share(right, given * ~generated)) / 2


def _share(held: np.ndarray, weights: np.ndarray) -> float:
    total = weights.sum()
    return float((weights * held).sum() / total) if total > 0 else float("nan")
