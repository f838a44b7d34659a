"""Figures with intervals: of a whole set, and of each collection in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from d2f.bench.judged_set import JudgedSet
from d2f.data.components import components
from d2f.data.dataset import Labelled
from d2f.measure import Interval, cluster_bootstraps, roc_auc
from d2f.scoring.figures import TITLES, figures

DRAWS = 1000
FEWEST = 10
"""A collection with fewer images is not reported on its own."""


@dataclass(frozen=True, slots=True)
class CollectionFigures:
    """How a chain fares on one collection.

    Parameters
    ----------
    name : str
    real, generated : int
        How many images of each label.
    auc : Interval
        Of its own two classes where it has both; else of its images against the whole other class.
    false_positive, true_positive : float
        Photographs and generated images called generated; NaN where it has none.
    """

    name: str
    real: int
    generated: int
    auc: Interval
    false_positive: float
    true_positive: float

    @property
    def two_class(self) -> bool:
        """Whether it holds both labels, so that whose hands gathered an image cannot tell."""
        return bool(self.real and self.generated)


def overall(judged: JudgedSet, copy: int = 0, draws: int = DRAWS) -> dict[str, Interval]:
    """Return every figure of `TITLES` on one copy, with intervals over connected components."""

    def found(index: NDArray[np.int64]) -> Sequence[float]:
        return list(_figures(judged, index, copy).values())

    intervals = cluster_bootstraps(found, judged.table.components, judged.labels, draws)
    return dict(zip(TITLES, intervals, strict=True))


def by_collection(judged: JudgedSet, copy: int = 0, draws: int = DRAWS) -> list[CollectionFigures]:
    """Return the figures of each collection of at least `FEWEST` images: two-class ones first, larger ones first.

    A collection is one component, so its intervals draw near-duplicate groups within it: they say how far its own
    images go, not how the chain fares on another collection.
    """
    names = np.array([image.collection for image in judged.table.images])
    found = [
        _collection(judged, name, np.flatnonzero(names == name), copy, draws)
        for name in judged.table.images.collections
        if (names == name).sum() >= FEWEST
    ]
    return sorted(found, key=lambda one: (not one.two_class, -one.real - one.generated, one.name))


def _collection(judged: JudgedSet, name: str, members: NDArray[np.int64], copy: int, draws: int) -> CollectionFigures:
    labels = judged.labels
    own = set(labels[members].tolist())
    others = np.flatnonzero(labels != labels[members[0]]) if len(own) == 1 else np.empty(0, dtype=np.int64)
    index = np.concatenate([members, others])
    units = components(_by_group(judged.table.images[i]) for i in index)

    def auc(drawn: NDArray[np.int64]) -> Sequence[float]:
        return [roc_auc(labels[index[drawn]], np.nan_to_num(judged.llr[index[drawn], copy]))]

    (interval,) = cluster_bootstraps(auc, units, labels[index], draws)
    within = _figures(judged, members, copy)
    counts = np.bincount(labels[members].astype(np.int64), minlength=2)
    return CollectionFigures(
        name, int(counts[0]), int(counts[1]), interval, within["false_positive"], within["true_positive"]
    )


def _by_group(image: Labelled) -> Labelled:
    return Labelled(image.path, image.label, group=image.group)


def _figures(judged: JudgedSet, index: NDArray[np.int64], copy: int) -> dict[str, float]:
    return figures(
        judged.labels[index],
        judged.llr[index, copy],
        judged.probability[index, copy],
        judged.real_below,
        judged.generated_above,
    )
