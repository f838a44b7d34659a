"""A seeded part of a set, stratified."""

from __future__ import annotations

import numpy as np

from d2f.data.dataset import Dataset


def limited(dataset: Dataset, count: int, seed: int = 0) -> Dataset:
    """Return `count` images in the set's order, each (label, collection) with about its share.

    Within a stratum of m images, in seeded order, the j-th stands at (j + u) / m, u drawn once a stratum from
    [0, 1); the `count` images that stand first are taken.

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
    strata: dict[tuple[int, str], list[int]] = {}
    for i, image in enumerate(dataset):
        strata.setdefault((image.label, image.collection), []).append(i)
    places = np.empty(len(dataset))
    for key in sorted(strata):
        members = random.permutation(strata[key])
        places[members] = (np.arange(len(members)) + random.random()) / len(members)
    return dataset.select(np.argsort(places, kind="stable")[:count])
