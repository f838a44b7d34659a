"""Which images belong together: components, near-duplicates, a set's digest; splits and folds by component."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError
from d2f.api.inputs import Floats, Labels
from d2f.data.dataset import Dataset, Labelled
from d2f.data.facts import Inspection
from d2f.data.weights import NOUNS
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


Part: TypeAlias = Literal["weights", "chains"]
CHAINS_SHARE = 0.25
"""Share of unlisted collections that goes to `chains`."""


class Split(NamedTuple):
    """A set in two parts that share no component."""

    weights: Dataset
    chains: Dataset
    unlisted: tuple[str, ...]


def shipped_split(dataset: Dataset) -> Split:
    """Split by the committed list of collections, ``d2f/data/collections.yaml``.

    A component goes whole, where the first of its listed collections goes; one without any goes by a hash
    of the first of its names (of its file's name, for an image without a collection), a quarter to `chains`.
    """
    listed = listed_parts()
    parts: dict[int, Part] = {}
    members: dict[int, set[str]] = {}
    numbers = components(dataset).tolist()
    for number, image in zip(numbers, dataset, strict=True):
        name = image.path.replace("\\", "/").rsplit("/", 1)[-1]
        members.setdefault(number, set()).add(image.collection or image.group or name)
    for number, names in members.items():
        first = next((name for name in sorted(names) if name in listed), None)
        parts[number] = listed[first] if first else _hashed(min(names))
    chains = [i for i, number in enumerate(numbers) if parts[number] == "chains"]
    weights = [i for i, number in enumerate(numbers) if parts[number] == "weights"]
    unlisted = tuple(name for name in dataset.collections if name not in listed)
    return Split(dataset.select(weights), dataset.select(chains), unlisted)


@cache
def listed_parts() -> Mapping[str, Part]:
    """Return the part of each collection that the committed list names."""
    from ruamel.yaml import YAML

    text = files("d2f.data").joinpath("collections.yaml").read_text(encoding="utf-8")
    lists: dict[Part, list[str]] = YAML(typ="safe", pure=True).load(text)
    return {name: part for part, names in lists.items() for name in names}


def _hashed(name: str) -> Part:
    draw = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
    return "chains" if draw < CHAINS_SHARE else "weights"


PARTS = ("train", "validation", "test")


def split_parts(
    dataset: Dataset,
    components: NDArray[np.int64],
    shares: Sequence[float] = (0.7, 0.15, 0.15),
    seed: int = 0,
) -> NDArray[np.int64]:
    """Assign components to parts so that each part has its share of both labels and of every generator.

    Components are taken from the largest down (ties in seeded order), each to the part where it adds least to the sum
    over labels and generators of held ** 2 / share; all generators together weigh as much as one label, those in fewer
    components than there are parts nothing. A part
    left without a label is then given the smallest component that another can spare.

    `components` shape (n,), int64; returns shape (n,), int64.
    """
    names, index = np.unique(components, return_inverse=True)
    wanted = np.asarray(shares, dtype=np.float64) / sum(shares)
    holds = np.stack([np.bincount(index[dataset.labels == label], minlength=len(names)) > 0 for label in (0, 1)], 1)
    _require_components(holds, len(wanted))
    counts = _component_shares(dataset, index, len(names), len(wanted))
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-np.bincount(index)[order], kind="stable")]
    parts = _assigned(counts, order, wanted)
    for _ in range(2 * len(wanted)):
        if not _mend(parts, holds, order, len(wanted)):
            return parts[index]
    raise D2FError.of("D2F603", "no split leaves both labels in every part", "ask for fewer parts or folds")


def _component_shares(dataset: Dataset, index: NDArray[np.int64], size: int, parts: int) -> Floats:
    """Of each component, its share of each label and generator, times the root of the stratum's weight.

    A generator in fewer components than there are parts cannot be in all of them: it is left out, or it would
    draw its components to the largest part.
    """
    generators = np.array([image.generator if image.label else "" for image in dataset])
    masks = [dataset.labels == label for label in (0, 1)]
    spread = [generators == name for name in sorted(set(generators.tolist()) - {""})]
    spread = [mask for mask in spread if len(np.unique(index[mask])) >= parts]
    weights = [1.0, 1.0] + [1.0 / max(1, len(spread))] * len(spread)
    columns = [np.bincount(index[mask], minlength=size) / mask.sum() for mask in [*masks, *spread]]
    return np.stack([np.sqrt(weight) * column for weight, column in zip(weights, columns, strict=True)], axis=1)


def _assigned(counts: Floats, order: NDArray[np.int64], shares: Floats) -> NDArray[np.int64]:
    held = np.zeros((len(shares), counts.shape[1]))
    parts = np.empty(len(counts), dtype=np.int64)
    for component in order:
        more = counts[component]
        parts[component] = np.argmin(((2 * held + more) @ more) / shares)
        held[parts[component]] += more
    return parts


def _mend(parts: NDArray[np.int64], holds: NDArray[np.bool_], order: NDArray[np.int64], count: int) -> bool:
    """Move one component to a part that lacks a label; whether there was such a part."""
    has = np.stack([np.bincount(parts[holds[:, label]], minlength=count) for label in (0, 1)], axis=1)
    lacking = np.argwhere(has == 0)
    if not len(lacking):
        return False
    part, label = lacking[0]
    for component in order[::-1]:
        if holds[component, label] and (has[parts[component]][holds[component]] > 1).all():
            parts[component] = part
            return True
    return True


def _require_components(holds: NDArray[np.bool_], count: int) -> None:
    for label, word in enumerate(NOUNS):
        independent = int(holds[:, label].sum())
        if independent < count:
            raise D2FError.of(
                "D2F603",
                f"{count} parts need {word} from as many independent collections; there are {independent}",
                "ask for fewer parts or folds, or give images from more collections",
            )


def folds(components: NDArray[np.int64], labels: Labels, k: int = 5, seed: int = 0) -> NDArray[np.int64]:
    """Assign components to k folds so that each fold has its share of both labels.

    Components are taken from the largest down (ties in seeded order), each to the fold that it leaves
    closest to an even share of both labels: the one with the least sum of squared relative counts.

    `components` shape (n,), int64; `labels` shape (n,); returns shape (n,), int64.
    """
    names, index = np.unique(components, return_inverse=True)
    counts = np.stack(
        [np.bincount(index, weights=labels == label, minlength=len(names)) for label in (0, 1)], axis=1
    ).astype(float)
    for label, noun in enumerate(NOUNS):
        independent = int(np.count_nonzero(counts[:, label]))
        if independent < 2:
            what = f"all {noun} come from one collection" if independent else f"there are no {noun}"
            raise D2FError.of("D2F603", what, "give images of both labels, each from at least two collections")
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
