"""The one fixed split between training weights and fitting chains, by collection."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple, TypeAlias

from d2f.data.components import components
from d2f.data.dataset import Dataset

Part: TypeAlias = Literal["weights", "chains"]
CHAINS_SHARE = 0.25
"""Share of unlisted collections that goes to `chains`."""


class Split(NamedTuple):
    """A set in two parts that share no component.

    Parameters
    ----------
    weights : Dataset
        About three quarters, for training detectors' weights.
    chains : Dataset
        About a quarter, for fitting chains.
    unlisted : tuple of str
        Collections that the committed list does not name; they went by a hash.
    """

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
        members.setdefault(number, set()).add(image.collection or image.group or _file_name(image.path))
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


def _file_name(path: str) -> str:
    return path.replace("\\", "/").rsplit("/", 1)[-1]


def _hashed(name: str) -> Part:
    draw = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
    return "chains" if draw < CHAINS_SHARE else "weights"
