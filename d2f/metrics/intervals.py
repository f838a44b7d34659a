"""Bootstrap intervals and p-values over whole components: images that were gathered together fail together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from d2f.api.inputs import Floats, Labels


class Samples(NamedTuple):
    """Values and whether each is of a generated image, shape (n,); weights of shape (rows, n)."""

    values: Floats
    generated: NDArray[np.bool_]
    weights: Floats
    single: bool

    def of(self, figure: Floats) -> Any:
        """Return a figure of shape (rows,) as a number where the weights had the shape (n,)."""
        return float(figure[0]) if self.single else figure


def samples(labels: ArrayLike, values: ArrayLike, weights: ArrayLike | None = None) -> Samples:
    """Check shapes, labels, values and weights; weights of shape (n,), or none, become one row.

    Raises ValueError: where shapes differ, a label is neither 0 nor 1, a value is not finite, or a weight is negative
    or not finite.
    """
    generated = np.asarray(labels)
    found = np.asarray(values, dtype=np.float64)
    given = np.ones(found.shape) if weights is None else np.asarray(weights, dtype=np.float64)
    if found.ndim != 1 or generated.shape != found.shape or given.ndim not in (1, 2) or given.shape[-1:] != found.shape:
        raise ValueError(
            f"labels {generated.shape}, values {found.shape} and weights {given.shape} must be equal (n,), "
            "weights also (rows, n)"
        )
    if not np.isin(generated, (0, 1)).all():
        raise ValueError("labels must be 0 (real) or 1 (generated)")
    if not np.isfinite(found).all():
        raise ValueError("values must be finite")
    if not (np.isfinite(given).all() and (given >= 0).all()):
        raise ValueError("weights must be finite and at least 0")
    return Samples(found, generated.astype(bool), np.atleast_2d(given), given.ndim == 1)


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

    Images that one source gathered fail together, so an interval that draws them singly is too narrow.
    Components are drawn within strata (those of photographs only, of generated images only, of both), so that no
    draw loses a label that the sample has; a draw on which the figure is NaN is left out. A component that is
    alone in its stratum is in every draw.

    `figure`: from indices into the sample, shape (m,), with repetition, to a number. `components`: as `d2f.data.groups`
    numbers them. With one component only there is nothing to draw: the bounds are NaN. Source: Field and Welsh, JRSS B
    69 (2007), doi:10.1111/j.1467-9868.2007.00593.x.
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

    Returns shape (draws, n), float64, whole numbers.
    """
    strata = _strata(components, labels)
    random = np.random.default_rng(seed)
    counts: Floats = np.empty((draws, len(components)))
    for row in counts:
        row[:] = np.bincount(_draw(strata, random), minlength=len(components))
    return counts


DRAWS = 1000
LEVEL = 0.95


class Draws:
    """A sample and draws of whole components from it, as weights of shape (1 + draws, n): the sample is row 0."""

    def __init__(
        self, components: Index, labels: Labels, draws: int = DRAWS, seed: int = 0, weights: Floats | None = None
    ) -> None:
        counts = cluster_counts(components, labels, draws, seed)
        each = np.ones(len(labels)) if weights is None else weights
        self.weights: Floats = np.concatenate([np.ones((1, len(labels))), counts]) * each
        self.varied = bool((counts != 1).any())
        self.labels = labels

    def interval(self, figure: Floats) -> Interval:
        """Return a figure's value on the sample and its percentile interval over the draws.

        `figure` shape (1 + draws,), float64.
        """
        if not self.varied or np.isnan(figure[0]):
            return Interval(float(figure[0]), float("nan"), float("nan"))
        return Interval(float(figure[0]), *map(float, _quantiles(figure[1:], LEVEL)))


def p_value(difference: Floats) -> float:
    """Return the two-sided bootstrap p-value that a difference is zero: twice the rarer side's share of draws.

    `difference` shape (1 + draws,), float64.

    Source: Davison and Hinkley, Bootstrap Methods and their Application, 1997, ISBN 0-521-57471-4, section 4.2 (the
    added one).
    """
    defined = difference[1:][~np.isnan(difference[1:])]
    if not len(defined):
        return float("nan")
    below, above = (defined <= 0).sum(), (defined >= 0).sum()
    return float(min(1.0, 2 * (1 + min(below, above)) / (1 + len(defined))))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number by Holm's step-down method; NaN stays and is not counted.

    Source: Holm, Scandinavian Journal of Statistics 6 (1979), 65-70.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted((p, place) for place, p in enumerate(p_values) if p == p)
    corrected, highest = list(p_values), 0.0
    for rank, (p, place) in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p))
        corrected[place] = highest
    return corrected


def _quantiles(drawn: Floats, level: float) -> Floats:
    defined = drawn[~np.isnan(drawn)]
    if not len(defined):
        return np.full(2, np.nan)
    quantiles: Floats = np.quantile(defined, ((1 - level) / 2, (1 + level) / 2))
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
