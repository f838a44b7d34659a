"""The classifier: logistic regression on standardised, bounded features, as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

BOUND = 4.0
"""Standardised features are cut to this many deviations, so that no single one carries a picture."""

ARRAYS = {"centre": (None,), "deviation": (None,), "weight": (None,), "bias": ()}
"""Names and shapes of the arrays that make a weights file."""


def standardised(
    features: NDArray[np.float64], centre: NDArray[np.float64], deviation: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return ``(features - centre) / deviation``, cut to `BOUND`."""
    return np.clip((features - centre) / deviation, -BOUND, BOUND)


def scores(arrays: Mapping[str, NDArray[Any]], features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log odds of `generated` for features (n, d), shape (n,), float64.

    Each row is summed on its own and never through a BLAS: a score does not depend on the other rows.
    """
    values = standardised(features, arrays["centre"], arrays["deviation"])
    products = np.ascontiguousarray(values * arrays["weight"])
    return np.array([np.add.reduce(row) for row in products]) + float(arrays["bias"])


def fit(
    features: NDArray[np.float64],
    labels: NDArray[np.int8],
    weights: NDArray[np.float64],
    seed: int,
    strength: float,
) -> dict[str, NDArray[np.float64]]:
    """Fit by weighted penalised maximum likelihood; needs scikit-learn.

    Parameters
    ----------
    features : numpy.ndarray, shape (n, d)
    labels : numpy.ndarray, shape (n,)
        0 real, 1 generated.
    weights : numpy.ndarray, shape (n,)
        Above 0.
    seed : int
        Not used: the optimum is one.
    strength : float
        scikit-learn's ``C``: the inverse of the ridge penalty on the weights of standardised features.
    """
    from sklearn.linear_model import LogisticRegression

    centre = np.average(features, axis=0, weights=weights)
    variance = np.average(np.square(features - centre), axis=0, weights=weights)
    # A feature that never varies says nothing; its deviation is any number but 0.
    deviation = np.where(variance > 1e-12, np.sqrt(variance), 1.0)
    model = LogisticRegression(C=strength, max_iter=1000, tol=1e-4)
    model.fit(standardised(features, centre, deviation), labels, sample_weight=weights)
    return {
        "centre": centre,
        "deviation": deviation,
        "weight": model.coef_[0].astype(np.float64),
        "bias": np.asarray(model.intercept_[0], dtype=np.float64),
    }
