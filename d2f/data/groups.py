"""A set's digest: which files, with which labels, in any order and under any name."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError
from d2f.data.dataset import Dataset, Labelled
from d2f.data.facts import Inspection
from d2f.files import file_sha256


def components(images: Iterable[Labelled], sha256: Sequence[str] = ()) -> NDArray[np.int64]:
    """Number the connected components of images linked by a collection, a group or, where given, a digest.

    Two images are linked when they share a collection, a near-duplicate group (a group's name means the
    same in every collection) or their bytes; an image with none of these is a component of its own. Splits, folds and
    bootstrap draws take components whole.

    Returns shape (n,), int64.
    """
    parents: dict[Hashable, Hashable] = {}
    keys = [_join(parents, image, i, sha256[i] if sha256 else "") for i, image in enumerate(images)]
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(_root_key(parents, key), len(numbers)) for key in keys], dtype=np.int64)


def _join(parents: dict[Hashable, Hashable], image: Labelled, i: int, sha256: str) -> Hashable:
    links = (("collection", image.collection), ("group", image.group), ("sha256", sha256))
    keys: list[Hashable] = [link for link in links if link[1]] or [("image", i)]
    for key in keys:
        parents.setdefault(key, key)
    for key in keys[1:]:
        parents[_root_key(parents, key)] = _root_key(parents, keys[0])
    return keys[0]


def _root_key(parents: dict[Hashable, Hashable], key: Hashable) -> Hashable:
    while parents[key] != key:
        parents[key] = parents[parents[key]]
        key = parents[key]
    return key


RADIUS = 6
"""Hashes of near-duplicates differ in at most this many bits."""

_CHUNKS, _WIDTH = 4, 16
_BLOCK = 2**17


def near_pairs(hashes: Sequence[int] | NDArray[np.uint64], radius: int = RADIUS) -> NDArray[np.int64]:
    """Return every pair of hashes within a Hamming distance.

    Multi-index hashing: hashes that differ in at most r bits differ in at most r // 4 bits in one of their four chunks
    of 16 bits, so each chunk's table is asked for all values within that distance, and what it returns is compared
    in full. For radii up to 7 that is 17 look-ups a chunk.

    `hashes` sequence of int, or of uint64, shape (n,); returns shape (m, 2), int64.

    Source: Norouzi, Punjani and Fleet, "Fast search in Hamming space with multi-index hashing", CVPR 2012,
    arXiv:1307.2982.

    >>> near_pairs([0b0000, 0b0111, 2**64 - 1], radius=3).tolist()
    [[0, 1]]
    """
    if not 0 <= radius < 12:
        raise ValueError(f"radius must be in 0..11, got {radius}")
    values = np.asarray(hashes, dtype=np.uint64)
    # Every number of a chunk's width with at most so many ones.
    masks = np.flatnonzero(radius // _CHUNKS >= _ONES).astype(np.uint64)
    found = [pairs for chunk in range(_CHUNKS) for pairs in _near_in_chunk(values, chunk, masks, radius)]
    if not found:
        return np.empty((0, 2), dtype=np.int64)
    unique: NDArray[np.int64] = np.unique(np.concatenate(found), axis=0)
    return unique


def hamming(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return how many bits differ, elementwise."""
    parts = np.ascontiguousarray(first ^ second).view(np.uint16).reshape(-1, _CHUNKS)
    bits: NDArray[np.int64] = _ONES[parts].sum(axis=1, dtype=np.int64)
    return bits


def _near_in_chunk(
    values: NDArray[np.uint64], chunk: int, masks: NDArray[np.uint64], radius: int
) -> Iterator[NDArray[np.int64]]:
    part = (values >> np.uint64(chunk * _WIDTH)) & np.uint64(2**_WIDTH - 1)
    order = np.argsort(part, kind="stable")
    ordered = part[order]
    for mask in masks:
        # In blocks, so that memory does not grow with the square of the set.
        for start in range(0, len(values), _BLOCK):
            left, right = _candidate_pairs(ordered, order, part[start : start + _BLOCK] ^ mask, start)
            near = hamming(values[left], values[right]) <= radius
            yield np.stack([left[near], right[near]], axis=1)


def _candidate_pairs(
    ordered: NDArray[np.uint64], order: NDArray[np.int64], sought: NDArray[np.uint64], start: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return every i, counted from `start`, and j > i whose part is the one sought for i."""
    first = np.searchsorted(ordered, sought, "left")
    counts = np.searchsorted(ordered, sought, "right") - first
    left = np.repeat(np.arange(len(sought)), counts)
    offsets = np.arange(len(left)) - np.repeat(np.cumsum(counts) - counts, counts)
    right = order[np.repeat(first, counts) + offsets]
    keep = left + start < right
    return left[keep] + start, right[keep]


_ONES = np.array([number.bit_count() for number in range(2**_WIDTH)], dtype=np.uint8)


@dataclass(frozen=True)
class DuplicatePairs:
    """Which images of a set are copies of each other."""

    exact: NDArray[np.int64]  # (m, 2), int64
    near: NDArray[np.int64]  # (m, 2), int64
    groups: NDArray[np.int64]  # (n,), int64


def duplicates(seen: Inspection) -> DuplicatePairs:
    """Find exact duplicates by sha256, and near-duplicates by perceptual hash where pictures were decoded."""
    digests = [facts.sha256 for facts in seen.facts]
    exact = _with_the_first(digests)
    near = _alike(seen)
    near = near[[digests[i] != digests[j] for i, j in near]] if len(near) else near
    return DuplicatePairs(exact, near, _linked(len(digests), np.concatenate([exact, near])))


def with_groups(dataset: Dataset, numbers: NDArray[np.int64]) -> Dataset:
    """Return a set whose groups also hold what found groups link.

    An image alone in both keeps its empty group; the others get the first name that any image linked to them
    had, or ``near-N``.

    `numbers` shape (n,), int64.
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


def _alike(seen: Inspection) -> NDArray[np.int64]:
    """Pairs of near hashes, i < j; of equal hashes only the first is compared with others."""
    hashed = [(i, found) for i, found in enumerate(seen.hashes) if found is not None]
    if not hashed:
        return np.empty((0, 2), dtype=np.int64)
    index = np.array([i for i, _ in hashed], dtype=np.int64)
    hashes = np.array([value for _, value in hashed], dtype=np.uint64)
    distinct, first = np.unique(hashes, return_index=True)
    pairs = np.concatenate([index[first][near_pairs(distinct)], index[_with_the_first(hashes.tolist())]])
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


def require_one_label(images: Dataset, sha256: Sequence[str]) -> None:
    """Raise D2F602 where files of the same bytes have both labels, naming a pair."""
    if pairs := contradictory(images, sha256):
        one, other = pairs[0]
        raise D2FError.of(
            "D2F602",
            f"{len(pairs)} pairs of files of the same bytes have both labels, such as '{one}' and '{other}'",
            "correct or remove one of each pair; `d2f data audit` lists them all",
        )


def contradictory(images: Dataset, sha256: Sequence[str]) -> list[tuple[str, str]]:
    """Return the paths of files of the same bytes that have both labels, in pairs with the first such file."""
    first: dict[str, Labelled] = {}
    pairs = ((first.setdefault(digest, image), image) for image, digest in zip(images, sha256, strict=True))
    return [(other.path, image.path) for other, image in pairs if other.label != image.label]


def digest_of(pairs: Iterable[tuple[str, int]]) -> str:
    """Return ``sha256:…`` over the sorted lines ``<sha256 of the file> <label>``."""
    lines = sorted(f"{sha256} {int(label)}\n" for sha256, label in pairs)
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"


def digest(dataset: Dataset) -> str:
    """Return `digest_of` a set's files, each read once."""
    return digest_of((file_sha256(image.path), image.label) for image in dataset)
