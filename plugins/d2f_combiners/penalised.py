"""Penalised logistic regression by Newton's method."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def fit_penalised(
    columns: NDArray[np.float64],
    labels: NDArray[np.int8],
    weights: NDArray[np.float64],
    towards: NDArray[np.float64],
    penalty: float,
) -> NDArray[np.float64]:
    """Return the bias, then the coefficients, that minimise the penalised cross-entropy.

    The cost is ``sum(w * log(1 + exp(-y * logit))) / sum(w) + penalty / 2 * |coefficients - towards|^2``, y = 1 for
    generated images and -1 for photographs, logit = bias + columns @ coefficients. It is convex with one minimum;
    each Newton step is halved until the cost falls.

    Parameters
    ----------
    columns : numpy.ndarray, shape (n, k), float64
    labels : numpy.ndarray, shape (n,)
        0 real, 1 generated, both present.
    weights : numpy.ndarray, shape (n,), float64
        At least 0.
    towards : numpy.ndarray, shape (k,), float64
        Where the penalty pulls the coefficients.
    penalty : float
        Above 0.

    References
    ----------
    Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 2nd edition 2009, ISBN 9780387848570,
    section 4.4.
    """
    import numpy as np

    wide = np.hstack([np.ones((len(columns), 1)), columns])
    pull = np.concatenate([[0.0], np.full(len(towards), penalty)])
    home = np.concatenate([[0.0], towards])
    share, sign = weights / weights.sum(), np.where(labels == 1, 1.0, -1.0)

    def cost(point: NDArray[np.float64]) -> float:
        losses = share * np.logaddexp(0.0, -sign * (wide @ point))
        return float(losses.sum() + (pull * (point - home) ** 2).sum() / 2)

    found, lowest = home, cost(home)
    for _ in range(100):
        wrong = np.exp(-np.logaddexp(0.0, sign * (wide @ found)))
        gradient = -wide.T @ (share * sign * wrong) + pull * (found - home)
        curvature = (wide * (share * wrong * (1 - wrong))[:, None]).T @ wide + np.diag(pull)
        step = np.linalg.solve(curvature + 1e-12 * np.eye(len(found)), gradient)
        length = _length(cost, found, step, lowest)
        if np.abs(gradient).max() < 1e-13 or length == 0:
            break
        found = found - length * step
        lowest = cost(found)
    return found


def _length(
    cost: Callable[[NDArray[np.float64]], float],
    found: NDArray[np.float64],
    step: NDArray[np.float64],
    lowest: float,
) -> float:
    """The longest of 1, 1/2, 1/4, … steps that does not raise the cost; 0 where none is left."""
    length = 1.0
    while length > 1e-10:
        if cost(found - length * step) <= lowest:
            return length
        length /= 2
    return 0.0
