"""Stratified folds that never cut through a component."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from d2f.api.arrays import Labels
from d2f.api.errors import D2FError


def folds(components: NDArray[np.int64], labels: Labels, k: int = 5, seed: int = 0) -> NDArray[np.int64]:
    """Deal components to k folds so that each fold has its share of both labels.

    Components are taken from the largest down (ties in seeded order), each to the fold that it leaves
    closest to an even share of both labels: the one with the least sum of squared relative counts.

    Parameters
    ----------
    components : numpy.ndarray, shape (n,), int64
        As `d2f.data.components` numbers them.
    labels : numpy.ndarray, shape (n,)
        0 real, 1 generated.
    k : int
        Folds, at least 2; with fewer components than that, as many as there are components.
    seed : int
        Of the order among components of equal size.

    Returns
    -------
    numpy.ndarray, shape (n,), int64
        The fold of each image, 0..k-1.

    Raises
    ------
    D2FError
        D2F603 where a label is missing, or one component holds all images of a label: then no fold leaves
        both labels to fit on.
    """
    names, index = np.unique(components, return_inverse=True)
    counts = np.stack(
        [np.bincount(index, weights=labels == label, minlength=len(names)) for label in (0, 1)], axis=1
    ).astype(float)
    _need_both(counts)
    k = min(k, len(names))
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    share = counts / counts.sum(axis=0)
    held = np.zeros((k, 2))
    fold_of = np.empty(len(names), dtype=np.int64)
    for component in order:
        growth = ((held + share[component]) ** 2 - held**2).sum(axis=1)
        fold_of[component] = np.argmin(growth)
        held[fold_of[component]] += share[component]
    return fold_of[index]


def _need_both(counts: NDArray[np.float64]) -> None:
    for label, word in enumerate(("photographs", "generated images")):
        independent = int(np.count_nonzero(counts[:, label]))
        if independent < 2:
            what = f"all {word} come from one collection" if independent else f"there are no {word}"
            raise D2FError.of("D2F603", what, "give images of both labels, each from at least two collections")
