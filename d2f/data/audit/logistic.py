"""Logistic regression with a ridge: the smallest classifier that can show that a property tells the label."""

from __future__ import annotations

import numpy as np

from d2f.api.arrays import Floats, Labels

RIDGE = 1.0
"""Penalty on half the squared weights, beside a loss that is summed over images."""


def fit_logistic(rows: Floats, labels: Labels) -> Floats:
    """Fit by penalised maximum likelihood, both labels of one total weight.

    Parameters
    ----------
    rows : numpy.ndarray, shape (n, d)
    labels : numpy.ndarray, shape (n,)
        0 or 1, both there.

    Returns
    -------
    numpy.ndarray, shape (d + 1,), float64
        Weights, then the bias, which is not penalised.
    """
    from scipy.optimize import minimize

    signs = 2.0 * labels - 1.0
    weights = len(labels) / (2.0 * np.bincount(labels, minlength=2)[labels])

    def loss(at: Floats) -> tuple[float, Floats]:
        margins = signs * (rows @ at[:-1] + at[-1])
        pull = -weights * signs * _expit(-margins)
        gradient = np.append(rows.T @ pull + RIDGE * at[:-1], pull.sum())
        return float(weights @ np.logaddexp(0.0, -margins) + RIDGE / 2 * at[:-1] @ at[:-1]), gradient

    found = minimize(loss, np.zeros(rows.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    return np.asarray(found.x, dtype=np.float64)


def scores(fitted: Floats, rows: Floats) -> Floats:
    """Return log odds (n,), rounded so that equal rows have equal scores whatever order they were summed in."""
    odds: Floats = np.round(rows @ fitted[:-1] + fitted[-1], 6) + 0.0
    return odds


def _expit(values: Floats) -> Floats:
    shares: Floats = 0.5 * (1.0 + np.tanh(0.5 * values))
    return shares
