"""Splits and folds that never cut through a component: the shipped split, stratified parts, folds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError
from d2f.api.inputs import Floats, Labels
from d2f.data.dataset import Dataset
from d2f.data.groups import components
from d2f.data.weights import NOUNS

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
