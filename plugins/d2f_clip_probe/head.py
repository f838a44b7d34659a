"""The head: for each crop logistic regression on standardised tokens; a picture's score is their mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

BOUND = 4.0
"""Standardised tokens are cut to this many deviations, so that no single one carries a picture."""

NAMES = ("centre", "deviation", "weight")
"""Arrays of shape (crops, d); beside them stands `bias`, of shape ()."""


def moments(tokens: NDArray[Any], weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weighted mean and deviation, each of shape (crops, d), of tokens (n, crops, d)."""
    centre = np.average(tokens, axis=0, weights=weights)
    deviation = np.sqrt(np.average(np.square(tokens - centre), axis=0, weights=weights))
    return centre, np.where(deviation > 1e-6, deviation, 1.0)


def standardised(arrays: Mapping[str, NDArray[Any]], tokens: NDArray[Any]) -> NDArray[Any]:
    """Return tokens (n, crops, d) in deviations from the centre, cut at `BOUND`."""
    return np.clip((tokens - arrays["centre"]) / arrays["deviation"], -BOUND, BOUND)


def crop_scores(arrays: Mapping[str, NDArray[Any]], tokens: NDArray[Any]) -> NDArray[np.float64]:
    """Return what each crop says, in log odds of `generated`.

    Parameters
    ----------
    arrays : mapping of str to numpy.ndarray
        As `fit` returns them.
    tokens : numpy.ndarray, shape (n, crops, d)

    Returns
    -------
    numpy.ndarray, shape (n, crops), float64
        Their mean is the picture's score.
    """
    values = standardised(arrays, tokens) * arrays["weight"]
    # Row by row and never through a BLAS: a score does not depend on the other rows.
    summed = np.array([[np.add.reduce(crop) for crop in row] for row in np.ascontiguousarray(values)])
    scores: NDArray[np.float64] = summed * tokens.shape[1] + float(arrays["bias"])
    return scores


def fit(
    tokens: NDArray[Any], labels: NDArray[np.int8], weights: NDArray[np.float64], strength: float
) -> dict[str, NDArray[np.float64]]:
    """Fit all crops' weights together by weighted penalised maximum likelihood; needs scikit-learn.

    Parameters
    ----------
    tokens : numpy.ndarray, shape (n, crops, d)
    labels : numpy.ndarray, shape (n,)
        0 real, 1 generated.
    weights : numpy.ndarray, shape (n,)
        Above 0.
    strength : float
        scikit-learn's ``C``.
    """
    from sklearn.linear_model import LogisticRegression

    centre, deviation = moments(tokens, weights)
    values = standardised({"centre": centre, "deviation": deviation}, tokens).reshape(len(tokens), -1)
    model = LogisticRegression(C=strength, max_iter=2000, tol=1e-4)
    model.fit(values, labels, sample_weight=weights)
    return {
        "centre": centre,
        "deviation": deviation,
        "weight": model.coef_[0].reshape(centre.shape).astype(np.float64),
        "bias": np.asarray(model.intercept_[0], dtype=np.float64),
    }
