"""What a calibrator aims at: labels softened by how many images stand behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def effective_count(weights: NDArray[np.float64]) -> float:
    """How many equally weighted images these weights are worth: (sum w)^2 / sum w^2 (Kish 1965); 0 for none."""
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


def smoothed_targets(labels: NDArray[np.int8], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Targets (N+ + 1) / (N+ + 2) for generated images and 1 / (N- + 2) for photographs.

    The maximum a posteriori estimates under a uniform prior on wrong labels; with them the fit is finite even
    where the classes part. N are effective counts.

    References
    ----------
    Platt, "Probabilistic outputs for support vector machines", in Advances in Large Margin Classifiers,
    MIT Press 1999, ISBN 9780262194488, equation 10.
    """
    import numpy as np

    generated = labels == 1
    high = (effective_count(weights[generated]) + 1) / (effective_count(weights[generated]) + 2)
    return np.where(generated, high, 1 / (effective_count(weights[~generated]) + 2))
