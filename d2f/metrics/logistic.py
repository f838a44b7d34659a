"""A logistic regression with a ridge: one fit for whoever asks how well columns tell the label."""

from __future__ import annotations

import numpy as np

from d2f.api.inputs import Floats, Labels
from d2f.metrics.calibration import sigmoid


def fit_logistic(rows: Floats, labels: Labels, ridge: float = 1.0) -> Floats:
    """Fit by penalised maximum likelihood, both labels of one total weight.

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
