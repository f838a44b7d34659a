"""The logistic curve and its fit by Newton's method."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-logits)) without overflow."""
    import numpy as np

    return np.exp(-np.logaddexp(0.0, -logits))


def fit_logits(
    columns: NDArray[np.float64], targets: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the coefficients that minimise the weighted cross-entropy of ``sigmoid(columns @ coefficients)``.

    Newton's method, each step halved until the cost falls; convex, so the start does not matter.

    Parameters
    ----------
    columns : numpy.ndarray, shape (n, k), float64
        Of scale about 1.
    targets : numpy.ndarray, shape (n,), float64
        In (0, 1), so that the minimum is finite.
    weights : numpy.ndarray, shape (n,), float64
        At least 0.

    References
    ----------
    Lin, Lin and Weng, Machine Learning 68 (2007), doi:10.1007/s10994-007-5018-6.
    """
    import numpy as np

    share = weights / weights.sum()
    found = np.zeros(columns.shape[1])
    cost = _cost(columns, targets, share, found)
    for _ in range(100):
        probabilities = sigmoid(columns @ found)
        gradient = columns.T @ (share * (probabilities - targets))
        if np.abs(gradient).max() < 1e-13:
            break
        curvature = (columns * (share * probabilities * (1 - probabilities))[:, None]).T @ columns
        step = np.linalg.solve(curvature + 1e-12 * np.eye(len(found)), gradient)
        length = 1.0
        while length > 1e-10 and _cost(columns, targets, share, found - length * step) > cost:
            length /= 2
        if length <= 1e-10:
            break
        found = found - length * step
        cost = _cost(columns, targets, share, found)
    return found


def _cost(
    columns: NDArray[np.float64],
    targets: NDArray[np.float64],
    share: NDArray[np.float64],
    coefficients: NDArray[np.float64],
) -> float:
    import numpy as np

    logits = columns @ coefficients
    return float((share * (np.logaddexp(0.0, logits) - targets * logits)).sum())
