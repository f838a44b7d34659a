"""Intervals that know which images were gathered together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from d2f.api.inputs import Floats, Labels


class Samples(NamedTuple):
    """Values, whether each is of a generated image, and weights, each of shape (n,)."""

    values: Floats
    generated: np.ndarray
    weights: Floats


def samples(labels: ArrayLike, values: ArrayLike, weights: ArrayLike | None = None) -> Samples:
    """Check shapes, labels, values and weights.

    Raises
    ------
    ValueError
        Where shapes differ, a label is neither 0 nor 1, a value is not finite, or a weight is negative or not finite.
    """
    generated = np.asarray(labels)
    found = np.asarray(values, dtype=np.float64)
    given = np.ones(found.shape) if weights is None else np.asarray(weights, dtype=np.float64)
    if found.ndim != 1 or generated.shape != found.shape or given.shape != found.shape:
        raise ValueError(f"labels {generated.shape}, values {found.shape} and weights {given.shape} must be equal (n,)")
    if not np.isin(generated, (0, 1)).all():
        raise ValueError("labels must be 0 (real) or 1 (generated)")
    if not np.isfinite(found).all():
        raise ValueError("values must be finite")
    if not (np.isfinite(given).all() and (given >= 0).all()):
        raise ValueError("weights must be finite and at least 0")
    return Samples(found, generated.astype(bool), given)


Index = NDArray[np.int64]


class Interval(NamedTuple):
    """A figure and its bounds: ``value`` on the sample, ``low`` and ``high`` at the stated level."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def cluster_bootstrap(
    figure: Callable[[Index], float],
    components: Index,
    labels: Labels,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile interval of a figure, drawing whole components with replacement.

    Images that one pair of hands gathered fail together, so an interval that draws them singly is too narrow.
    Components are drawn within strata (those of photographs only, of generated images only, of both), so that no
    draw loses a label that the sample has; a draw on which the figure is NaN is left out. A component that is
    alone in its stratum is in every draw.

    Parameters
    ----------
    figure : callable
        From indices into the sample, shape (m,), with repetition, to a number.
    components : numpy.ndarray, shape (n,), int64
        As `d2f.data.groups` numbers them.
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
    (interval,) = cluster_bootstraps(lambda index: [figure(index)], components, labels, draws, level, seed)
    return interval


def cluster_bootstraps(
    figures: Callable[[Index], Sequence[float]],
    components: Index,
    labels: Labels,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[Interval, ...]:
    """Percentile intervals of several figures from the same draws; see `cluster_bootstrap`."""
    values = np.asarray(figures(np.arange(len(components))), dtype=np.float64)
    strata = _strata(components, labels)
    bounds = np.full((2, len(values)), np.nan)
    if sum(len(stratum) for stratum in strata) > 1:
        random = np.random.default_rng(seed)
        drawn = np.array([figures(_draw(strata, random)) for _ in range(draws)], dtype=np.float64)
        bounds = np.stack([_quantiles(column, level) for column in drawn.T], axis=1)
    return tuple(Interval(*map(float, bound)) for bound in zip(values, *bounds, strict=True))


def cluster_counts(components: Index, labels: Labels, draws: int = 1000, seed: int = 0) -> Floats:
    """Return the draws of `cluster_bootstrap` as counts: how often each image is in each.

    Figures that take weights can so be computed on all draws at once, and several figures or chains on the same.

    Returns
    -------
    numpy.ndarray, shape (draws, n), float64
        Whole numbers.
    """
    strata = _strata(components, labels)
    random = np.random.default_rng(seed)
    counts: Floats = np.empty((draws, len(components)))
    for row in counts:
        row[:] = np.bincount(_draw(strata, random), minlength=len(components))
    return counts


def _quantiles(drawn: Floats, level: float) -> Floats:
    said = drawn[~np.isnan(drawn)]
    if not len(said):
        return np.full(2, np.nan)
    quantiles: Floats = np.quantile(said, ((1 - level) / 2, (1 + level) / 2))
    return quantiles


def _strata(components: Index, labels: Labels) -> list[list[Index]]:
    """Members of each component, in up to three strata by the labels that the component holds."""
    strata: dict[tuple[int, ...], list[Index]] = {}
    order = np.argsort(components, kind="stable")
    cuts = np.flatnonzero(np.diff(components[order])) + 1
    for members in np.split(order, cuts):
        strata.setdefault(tuple(np.unique(labels[members]).tolist()), []).append(members)
    return [strata[key] for key in sorted(strata)]


def _draw(strata: list[list[Index]], random: np.random.Generator) -> Index:
    return np.concatenate(
        [stratum[i] for stratum in strata for i in random.integers(0, len(stratum), size=len(stratum))]
    )
