"""A seeded part of a set, stratified."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from d2f.data.dataset import Dataset


def limited(dataset: Dataset, count: int, seed: int = 0) -> Dataset:
    """Return `count` images in the set's order; each label keeps its share, and each collection nearly.

    Within a collection's m images of a label, in seeded order, the j-th stands at (j + u) / m, u drawn once from
    [0, 1); the images of a label are ranked by that, and those of both labels by rank over their number.

    Parameters
    ----------
    dataset : Dataset
    count : int
        At least 1; a set that has no more images comes back whole.
    seed : int
        At least 0.
    """
    if count >= len(dataset):
        return dataset
    random = np.random.default_rng(seed)
    places = np.empty(len(dataset))
    for label in (0, 1):
        members = np.flatnonzero(dataset.labels == label)
        order = np.argsort(_spread([dataset[i].collection for i in members], random), kind="stable")
        places[members[order]] = (np.arange(len(members)) + 0.5) / max(len(members), 1)
    return dataset.select(np.argsort(places, kind="stable")[:count])


def _spread(names: list[str], random: np.random.Generator) -> NDArray[np.float64]:
    """A place in [0, 1) for each image, even within each name."""
    places = np.empty(len(names))
    of_name: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        of_name.setdefault(name, []).append(i)
    for name in sorted(of_name):
        members = random.permutation(of_name[name])
        places[members] = (np.arange(len(members)) + random.random()) / len(members)
    return places
