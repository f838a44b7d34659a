"""Intervals that know which images were gathered together."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from d2f.api.arrays import Labels


class Interval(NamedTuple):
    """A figure and its bounds: ``value`` on the sample, ``low`` and ``high`` at the stated level."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def cluster_bootstrap(
    figure: Callable[[NDArray[np.int64]], float],
    components: NDArray[np.int64],
    labels: Labels,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile interval of a figure, drawing whole components with replacement.

    Images that one pair of hands gathered fail together, so an interval that draws them singly is too narrow.
    Components are drawn within strata (those of photographs only, of generated images only, of both), so that no
    draw loses a label for want of it in the sample; a draw on which the figure is NaN is left out.

    Parameters
    ----------
    figure : callable
        From indices into the sample, shape (m,), with repetition, to a number.
    components : numpy.ndarray, shape (n,), int64
        As `d2f.data.components` numbers them.
    labels : numpy.ndarray, shape (n,)
        0 real, 1 generated.
    draws : int
        At least 1.
    level : float
        In (0, 1).
    seed : int
        Of the draws.

    Returns
    -------
    Interval
        With one component only, there is nothing to draw: the bounds are NaN.

    References
    ----------
    Field and Welsh, JRSS B 69 (2007), doi:10.1111/j.1467-9868.2007.00593.x.
    """
    everyone = np.arange(len(components))
    value = float(figure(everyone))
    strata = _strata(components, labels)
    if sum(len(stratum) for stratum in strata) < 2:
        return Interval(value, float("nan"), float("nan"))
    random = np.random.default_rng(seed)
    found = np.array([figure(_draw(strata, random)) for _ in range(draws)])
    found = found[~np.isnan(found)]
    if not len(found):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(found, ((1 - level) / 2, (1 + level) / 2))
    return Interval(value, float(low), float(high))


def _strata(components: NDArray[np.int64], labels: Labels) -> list[list[NDArray[np.int64]]]:
    """Members of each component, in up to three strata by the labels that the component holds."""
    strata: dict[tuple[int, ...], list[NDArray[np.int64]]] = {}
    order = np.argsort(components, kind="stable")
    cuts = np.flatnonzero(np.diff(components[order])) + 1
    for members in np.split(order, cuts):
        strata.setdefault(tuple(np.unique(labels[members]).tolist()), []).append(members)
    return [strata[key] for key in sorted(strata)]


def _draw(strata: list[list[NDArray[np.int64]]], random: np.random.Generator) -> NDArray[np.int64]:
    return np.concatenate(
        [stratum[i] for stratum in strata for i in random.integers(0, len(stratum), size=len(stratum))]
    )
