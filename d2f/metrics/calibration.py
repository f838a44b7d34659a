"""How far probabilities and likelihood ratios can be taken at their word."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from d2f.api.inputs import Floats
from d2f.metrics.intervals import samples


def expected_calibration_error(
    labels: ArrayLike,
    probabilities: ArrayLike,
    weights: ArrayLike | None = None,
    bins: int = 15,
    by: Literal["mass", "width"] = "mass",
) -> float:
    """Mean over bins, by weight, of the distance between mean probability and share of generated images.

    Parameters
    ----------
    labels : array_like, shape (n,)
        0 real, 1 generated.
    probabilities : array_like, shape (n,)
        In [0, 1].
    weights : array_like, shape (n,), optional
        At least 0.
    bins : int
        At least 1.
    by : {'mass', 'width'}
        ``mass``: bins of equal weight, images of one probability kept together; ``width``: bins of equal width,
        [0, 1/bins), …, the last one closed.

    Returns
    -------
    float
        In [0, 1]; NaN without weight.

    References
    ----------
    Naeini, Cooper and Hauskrecht, AAAI 2015, PMC4410090 (equal width).
    Nixon et al., CVPR Workshops 2019, arXiv:1904.01685 (equal mass).

    Examples
    --------
    >>> round(expected_calibration_error([0, 1, 1, 1], [0.1, 0.2, 0.8, 0.9], bins=2, by="width"), 4)
    0.25
    """
    values, generated, given = samples(labels, probabilities, weights)
    _need_probabilities(values)
    if given.sum() == 0:
        return float("nan")
    at = _equal_mass(values, given, bins) if by == "mass" else np.minimum((values * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(at, given * (values - generated), minlength=bins)
    return float(np.abs(gaps).sum() / given.sum())


def brier(labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Mean squared distance between probability and label, in [0, 1].

    References
    ----------
    Brier, Monthly Weather Review 78 (1950), doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.

    Examples
    --------
    >>> brier([0, 1], [0.5, 1.0])
    0.125
    """
    values, generated, given = samples(labels, probabilities, weights)
    _need_probabilities(values)
    total = given.sum()
    return float((given * (values - generated) ** 2).sum() / total) if total > 0 else float("nan")


def log_likelihood_ratio_cost(labels: ArrayLike, llrs: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Cllr: the information that log-likelihood ratios fail to give, in bits an image, both classes weighing alike.

    Half the mean over generated images of log2(1 + exp(-llr)), plus half the mean over photographs of
    log2(1 + exp(llr)). 0 is perfect, 1 is what ``llr = 0`` everywhere costs, and there is no upper bound.

    Parameters
    ----------
    labels : array_like, shape (n,)
        0 real, 1 generated.
    llrs : array_like, shape (n,)
        Natural log-likelihood ratios of generated over real, before any prior.
    weights : array_like, shape (n,), optional
        At least 0.

    Returns
    -------
    float
        At least 0; NaN where a class has no weight.

    References
    ----------
    Brümmer and du Preez, Computer Speech & Language 20 (2006), doi:10.1016/j.csl.2005.08.001.

    Examples
    --------
    >>> log_likelihood_ratio_cost([0, 1], [0.0, 0.0])
    1.0
    """
    values, generated, given = samples(labels, llrs, weights)
    bits = np.logaddexp(0.0, np.where(generated, -values, values)) / np.log(2)
    cost = 0.0
    for of_class in (given * generated, given * ~generated):
        total = of_class.sum()
        cost += 0.5 * float((of_class * bits).sum() / total) if total > 0 else float("nan")
    return cost


def _equal_mass(values: Floats, weights: Floats, bins: int) -> np.ndarray:
    distinct, at = np.unique(values, return_inverse=True)
    mass = np.bincount(at, weights, minlength=len(distinct))
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    bin_of: np.ndarray = np.minimum((middle * bins).astype(np.int64), bins - 1)[at]
    return bin_of


def _need_probabilities(values: Floats) -> None:
    if len(values) and (values.min() < 0 or values.max() > 1):
        raise ValueError("probabilities must be in [0, 1]")
