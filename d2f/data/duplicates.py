"""Files that stand twice: the same bytes, or pictures that look alike."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from d2f.data.components import components
from d2f.data.dataset import Dataset, Labelled
from d2f.data.inspection import Inspection
from d2f.data.near_pairs import RADIUS, near_pairs


@dataclass(frozen=True)
class Duplicates:
    """Which images of a set are copies of each other.

    Parameters
    ----------
    exact : numpy.ndarray, shape (m, 2), int64
        Pairs of files with the same bytes: each with the first of its kind.
    near : numpy.ndarray, shape (m, 2), int64
        Pairs of other files whose perceptual hashes differ in at most `d2f.data.near_pairs.RADIUS` bits; of files
        with one and the same hash, each with the first of its kind.
    groups : numpy.ndarray, shape (n,), int64
        Numbers of the sets of images that such pairs link.
    """

    exact: NDArray[np.int64]
    near: NDArray[np.int64]
    groups: NDArray[np.int64]


def duplicates(seen: Inspection, radius: int = RADIUS) -> Duplicates:
    """Find exact duplicates by sha256, and near-duplicates by perceptual hash where pictures were decoded.

    Parameters
    ----------
    seen : Inspection
    radius : int
        0..11 bits.
    """
    digests = [facts.sha256 for facts in seen.facts]
    exact = _with_the_first(digests)
    near = _alike(seen, radius)
    near = near[[digests[i] != digests[j] for i, j in near]] if len(near) else near
    return Duplicates(exact, near, _linked(len(seen.looked), np.concatenate([exact, near])))


def with_groups(dataset: Dataset, numbers: NDArray[np.int64]) -> Dataset:
    """Return a set whose groups also hold what found groups link.

    An image alone in both keeps its empty group; the others get the first name that any image linked to them
    had, or ``near-N``.

    Parameters
    ----------
    dataset : Dataset
    numbers : numpy.ndarray, shape (n,), int64
        As `Duplicates.groups`.
    """
    alike = np.bincount(numbers)[numbers] > 1
    linked = [
        Labelled("", 0, collection=image.group, group=f"near-{number}" if twin else "")
        for image, number, twin in zip(dataset, numbers, alike, strict=True)
    ]
    joined = components(linked)
    names: dict[int, str] = {}
    for image, link, number in zip(dataset, linked, joined.tolist(), strict=True):
        names[number] = min(filter(None, (names.get(number, ""), image.group)), default="") or link.group
    renamed = tuple(replace(image, group=names[number]) for image, number in zip(dataset, joined.tolist(), strict=True))
    return replace(dataset, images=renamed)


def _alike(seen: Inspection, radius: int) -> NDArray[np.int64]:
    """Pairs of near hashes, i < j; of equal hashes only the first is compared with others."""
    hashed = [(i, each.hash) for i, each in enumerate(seen.looked) if each.hash is not None]
    if not hashed:
        return np.empty((0, 2), dtype=np.int64)
    index = np.array([i for i, _ in hashed], dtype=np.int64)
    hashes = np.array([value for _, value in hashed], dtype=np.uint64)
    distinct, first = np.unique(hashes, return_index=True)
    pairs = np.concatenate([index[first][near_pairs(distinct, radius)], index[_with_the_first(hashes.tolist())]])
    ordered: NDArray[np.int64] = np.unique(np.sort(pairs, axis=1), axis=0)
    return ordered


def _with_the_first(digests: Sequence[Hashable]) -> NDArray[np.int64]:
    first: dict[Hashable, int] = {}
    pairs = [(first.setdefault(digest, i), i) for i, digest in enumerate(digests)]
    return np.array([pair for pair in pairs if pair[0] != pair[1]], dtype=np.int64).reshape(-1, 2)


def _linked(count: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    links = coo_matrix((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    numbers: NDArray[np.int64] = connected_components(links, directed=False)[1].astype(np.int64)
    return numbers
