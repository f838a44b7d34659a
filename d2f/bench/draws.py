"""Bootstrap draws as weights: every figure of every chain is taken on the same ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from d2f.api.arrays import Floats, Labels
from d2f.measure import Interval
from d2f.measure.intervals import cluster_counts

DRAWS = 1000
LEVEL = 0.95


class Draws:
    """A sample and draws of whole components from it, as weights.

    Parameters
    ----------
    components : numpy.ndarray, shape (n,), int64
    labels : numpy.ndarray, shape (n,)
    draws : int
        At least 1.
    seed : int
    weights : numpy.ndarray, shape (n,), float64, optional
        How much each image counts; all alike by default.

    Attributes
    ----------
    weights : numpy.ndarray, shape (1 + draws, n), float64
        How often each image is in a draw, times what it counts; the first row is the sample itself.
    varied : bool
        Whether there was more than one component to draw in some stratum.
    """

    def __init__(
        self,
        components: NDArray[np.int64],
        labels: Labels,
        draws: int = DRAWS,
        seed: int = 0,
        weights: Floats | None = None,
    ) -> None:
        counts = cluster_counts(components, labels, draws, seed)
        each = np.ones(len(labels)) if weights is None else weights
        self.weights: Floats = np.concatenate([np.ones((1, len(labels))), counts]) * each
        self.varied = bool((counts != 1).any())
        self.labels = labels

    def interval(self, figure: Floats) -> Interval:
        """Return a figure's value on the sample and its percentile interval over the draws.

        Parameters
        ----------
        figure : numpy.ndarray, shape (1 + draws,), float64
            NaN on draws where it is not defined; those are left out.
        """
        said = figure[1:][~np.isnan(figure[1:])]
        if not self.varied or not len(said) or np.isnan(figure[0]):
            return Interval(float(figure[0]), float("nan"), float("nan"))
        low, high = np.quantile(said, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
        return Interval(float(figure[0]), float(low), float(high))


def p_value(difference: Floats) -> float:
    """Return the two-sided bootstrap p-value that a difference is zero: twice the rarer side's share of draws.

    Parameters
    ----------
    difference : numpy.ndarray, shape (1 + draws,), float64

    References
    ----------
    Davison and Hinkley, Bootstrap Methods and their Application, 1997, ISBN 0-521-57471-4, section 4.2 (the added one).
    """
    said = difference[1:][~np.isnan(difference[1:])]
    if not len(said):
        return float("nan")
    below, above = (said <= 0).sum(), (said >= 0).sum()
    return float(min(1.0, 2 * (1 + min(below, above)) / (1 + len(said))))


def holm(p_values: list[float]) -> list[float]:
    """Return p-values corrected for their number by Holm's step-down method; NaN stays and is not counted.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]

    References
    ----------
    Holm, Scandinavian Journal of Statistics 6 (1979), 65-70.
    """
    order = sorted((p, place) for place, p in enumerate(p_values) if p == p)
    corrected, highest = list(p_values), 0.0
    for rank, (p, place) in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p))
        corrected[place] = highest
    return corrected
