"""Pairs of 64-bit hashes that differ in few bits, found without comparing each with each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

RADIUS = 6
"""Hashes of near-duplicates differ in at most this many bits."""
_CHUNKS, _WIDTH = 4, 16
_BLOCK = 2**17


def near_pairs(hashes: Sequence[int] | NDArray[np.uint64], radius: int = RADIUS) -> NDArray[np.int64]:
    """Return every pair of hashes within a Hamming distance.

    Multi-index hashing: hashes that differ in at most r bits differ in at most r // 4 bits in one of their four chunks
    of 16 bits, so each chunk's table is asked for all values within that distance, and what it returns is compared
    in full. For radii up to 7 that is 17 look-ups a chunk.

    Parameters
    ----------
    hashes : sequence of int, or numpy.ndarray of uint64, shape (n,)
    radius : int
        0..11.

    Returns
    -------
    numpy.ndarray, shape (m, 2), int64
        Indices i < j, sorted.

    References
    ----------
    Norouzi, Punjani and Fleet, "Fast search in Hamming space with multi-index hashing", CVPR 2012, arXiv:1307.2982.

    Examples
    --------
    >>> near_pairs([0b0000, 0b0111, 2**64 - 1], radius=3).tolist()
    [[0, 1]]
    """
    if not 0 <= radius < 12:
        raise ValueError(f"radius must be in 0..11, got {radius}")
    values = np.asarray(hashes, dtype=np.uint64)
    masks = _masks(radius // _CHUNKS)
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
            left, right = _candidates(ordered, order, part[start : start + _BLOCK] ^ mask, start)
            near = hamming(values[left], values[right]) <= radius
            yield np.stack([left[near], right[near]], axis=1)


def _candidates(
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


def _masks(bits: int) -> NDArray[np.uint64]:
    """Every 16-bit number with at most this many ones."""
    return np.flatnonzero(bits >= _ONES).astype(np.uint64)


_ONES = np.array([number.bit_count() for number in range(2**_WIDTH)], dtype=np.uint8)
