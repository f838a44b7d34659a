"""Figures that only the order of the values decides."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from d2f.api.arrays import Floats
from d2f.measure.samples import Samples, samples


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
