"""Parts of a set that are reported on their own: two-class collections, other sources, generators."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from d2f.bench.draws import Draws
from d2f.data.components import components
from d2f.data.dataset import Dataset, Labelled

FEWEST = 10
"""A part with fewer images is not reported on its own."""
GROUP_DRAWS = 300


@dataclass(frozen=True)
class Group:
    """Part of a set, and the images of the other class that it is judged against.

    Parameters
    ----------
    kind : {'collection', 'source', 'generator'}
    name : str
    members : numpy.ndarray, shape (m,), int64
        Places of its own images in the set.
    against : numpy.ndarray, shape (k,), int64
        The whole other class; empty for a collection, which holds both.
    real, generated : int
        How many of its own images have each label.
    """

    kind: Literal["collection", "source", "generator"]
    name: str
    members: NDArray[np.int64]
    against: NDArray[np.int64]
    real: int
    generated: int

    @property
    def index(self) -> NDArray[np.int64]:
        """Its own images and those that it is judged against."""
        return np.concatenate([self.members, self.against])

    def draws(self, images: Dataset, draws: int = GROUP_DRAWS) -> Draws:
        """Return draws of near-duplicate groups within it.

        They say how far its own images go, not how a chain fares on another collection.
        """
        units = components(_by_group(images[int(place)]) for place in self.index)
        return Draws(units, images.labels[self.index], draws)


def groups(images: Dataset) -> list[Group]:
    """Return the parts of at least `FEWEST` images: two-class collections, then sources, then generators."""
    return [*_collections(images), *_sources(images), *_generators(images)]


def _collections(images: Dataset) -> Iterator[Group]:
    names = np.array([image.collection for image in images])
    for name in images.collections:
        members = np.flatnonzero(names == name)
        held = images.labels[members]
        if len(members) >= FEWEST and len(set(held.tolist())) == 2:
            yield _group("collection", name, members, members[:0], images)


def _sources(images: Dataset) -> Iterator[Group]:
    two_class = {group.name for group in _collections(images)}
    for name in sorted({image.source for image in images} - {""}):
        held = [i for i, image in enumerate(images) if image.source == name and image.collection not in two_class]
        members = np.array(held, dtype=np.int64)
        for label in sorted(set(images.labels[members].tolist())):
            own = members[images.labels[members] == label]
            if len(own) >= FEWEST:
                yield _group("source", name, own, np.flatnonzero(images.labels != label), images)


def _generators(images: Dataset) -> Iterator[Group]:
    photographs = np.flatnonzero(images.labels == 0)
    for name in sorted({image.generator for image in images if image.label == 1} - {""}):
        held = [i for i, image in enumerate(images) if image.generator == name and image.label == 1]
        if len(held) >= FEWEST:
            yield _group("generator", name, np.array(held, dtype=np.int64), photographs, images)


def _group(
    kind: Literal["collection", "source", "generator"],
    name: str,
    members: NDArray[np.int64],
    against: NDArray[np.int64],
    images: Dataset,
) -> Group:
    generated = int((images.labels[members] == 1).sum())
    return Group(kind, name, members, against, len(members) - generated, generated)


def _by_group(image: Labelled) -> Labelled:
    return Labelled(image.path, image.label, group=image.group)
