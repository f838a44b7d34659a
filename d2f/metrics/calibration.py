"""How well probabilities and likelihood ratios hold, weighed as in `d2f.metrics.ranking`; a logistic regression."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from d2f.api.inputs import Floats, Labels
from d2f.metrics.intervals import samples
from d2f.metrics.ranking import divided, runs, summed


def expected_calibration_error(
    labels: ArrayLike,
    probabilities: ArrayLike,
    weights: ArrayLike | None = None,
    bins: int = 15,
    by: Literal["mass", "width"] = "mass",
) -> Any:
    """Mean over bins, by weight, of the distance between mean probability and share of generated images.

    `by`: ``mass``: bins of equal weight, images of one probability kept together; ``width``: bins of equal width, [0,
    1/bins), …, the last one closed. Source: Naeini, Cooper and Hauskrecht, AAAI 2015, PMC4410090 (equal width). Nixon
    et al., CVPR Workshops 2019, arXiv:1904.01685 (equal mass).

    >>> round(expected_calibration_error([0, 1, 1, 1], [0.1, 0.2, 0.8, 0.9], bins=2, by="width"), 4)
    0.25
    """
    given = samples(labels, probabilities, weights)
    _require_probabilities(given.values)
    order = np.argsort(given.values, kind="stable")
    first = runs(given.values[order])
    values, ordered = given.values[order], given.weights[:, order]
    mass = summed(ordered, first)
    gaps = summed(ordered * (values - given.generated[order]), first)
    total = mass.sum(axis=1)
    if by == "mass":
        middle = divided(np.cumsum(mass, axis=1) - mass / 2, total[:, None], otherwise=0.0)
    else:
        middle = np.broadcast_to(values[first], mass.shape)
    at = np.minimum((middle * bins).astype(np.int64), bins - 1) + bins * np.arange(len(mass))[:, None]
    by_bin = np.bincount(at.ravel(), gaps.ravel(), minlength=bins * len(mass)).reshape(len(mass), bins)
    return given.of(divided(np.abs(by_bin).sum(axis=1), total))


def brier(labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> Any:
    """Mean squared distance between probability and label, in [0, 1].

    Source: Brier, Monthly Weather Review 78 (1950), doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.

    >>> brier([0, 1], [0.5, 1.0])
    0.125
    """
    given = samples(labels, probabilities, weights)
    _require_probabilities(given.values)
    squares = given.weights @ (given.values - given.generated) ** 2
    return given.of(divided(squares, given.weights.sum(axis=1)))


def log_likelihood_ratio_cost(labels: ArrayLike, llrs: ArrayLike, weights: ArrayLike | None = None) -> Any:
    """Cllr: the information that log-likelihood ratios fail to give, in bits an image, both classes weighing alike.

    Half the mean over generated images of log2(1 + exp(-llr)), plus half the mean over photographs of
    log2(1 + exp(llr)). 0 is perfect, 1 is what ``llr = 0`` everywhere costs, and there is no upper bound.

    `llrs`: natural, of generated over real, before any prior. Source: Brümmer and du Preez, Computer Speech & Language
    20 (2006), doi:10.1016/j.csl.2005.08.001.

    >>> log_likelihood_ratio_cost([0, 1], [0.0, 0.0])
    1.0
    """
    given = samples(labels, llrs, weights)
    bits = np.logaddexp(0.0, np.where(given.generated, -given.values, given.values)) / np.log(2)
    return given.of(even(given.generated, given.weights) @ bits)


def sigmoid(log_odds: Floats) -> Floats:
    """Return probabilities of log-odds, finite for any finite value."""
    shares: Floats = 0.5 * (1.0 + np.tanh(0.5 * log_odds))
    return shares


def even(labels: ArrayLike, weights: Floats) -> Floats:
    """Return weights, shape (rows, n), scaled to half on each label; NaN on rows where a label has none."""
    generated = np.asarray(labels) == 1
    totals = np.stack([weights @ of.astype(np.float64) for of in (~generated, generated)])
    totals = np.where((totals > 0).all(axis=0), totals, 0.0)
    return divided(weights, 2 * totals[generated.astype(np.int64)].T)


def _require_probabilities(values: Floats) -> None:
    if len(values) and (values.min() < 0 or values.max() > 1):
        raise ValueError("probabilities must be in [0, 1]")


def fit_logistic(rows: Floats, labels: Labels, ridge: float = 1.0) -> Floats:
    """Fit a logistic regression with a ridge by penalised maximum likelihood, both labels of one total weight.

    The penalty is half of `ridge` times the squared coefficients, beside a loss that is summed over images; the bias,
    the last coefficient, is free.

    `rows` shape (n, d); `labels` shape (n,); returns shape (d + 1,), float64.
    """
    from scipy.optimize import minimize

    signs = 2.0 * labels - 1.0
    weights = len(labels) / (2.0 * np.bincount(labels, minlength=2)[labels])

    def loss(at: Floats) -> tuple[float, Floats]:
        margins = signs * (rows @ at[:-1] + at[-1])
        pull = -weights * signs * sigmoid(-margins)
        gradient = np.append(rows.T @ pull + ridge * at[:-1], pull.sum())
        return float(weights @ np.logaddexp(0.0, -margins) + ridge / 2 * at[:-1] @ at[:-1]), gradient

    found = minimize(loss, np.zeros(rows.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    return np.asarray(found.x, dtype=np.float64)


def log_odds(fitted: Floats, rows: Floats) -> Floats:
    """Return log-odds (n,), rounded so that equal rows have equal values whatever order they were summed in."""
    odds: Floats = np.round(rows @ fitted[:-1] + fitted[-1], 6) + 0.0
    return odds
