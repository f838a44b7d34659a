"""That no picture stands in two parts of a run: refused by bytes and by group, warned of where pictures look alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError, Problem
from d2f.data.dataset import Dataset
from d2f.data.groups import near_pairs
from d2f.train.tiles import TileSet

SHOWN = 3
"""Groups, collections or pairs that a message names."""

NUMBERED = re.compile(r"near-\d+")
"""A group that an audit has numbered: in another manifest the name is another group's."""

NEXT_STEP = "take them out of one part; `d2f data split` makes parts that share nothing"
Part = TypeVar("Part", Dataset, TileSet)


def _met(training: Part, validation: Part, test: Part | None) -> Iterator[tuple[str, str, Part, list[Part]]]:
    """Yield each part that has to be unknown: what it is, what may not hold of it, and the parts it is held against."""
    yield "images that validate", "are also trained on", validation, [training]
    if test is not None:
        yield "images of data.test", "train or validate", test, [training, validation]


def need_groups_apart(training: Dataset, validation: Dataset, test: Dataset | None = None) -> None:
    """Refuse groups, which are of one picture, that stand in two parts; before an image is read."""
    for what, _, part, others in _met(training, validation, test):
        seen = {name for name in _names(others, "group") if not NUMBERED.fullmatch(name)}
        shared = [image.group for image in part if image.group in seen]
        if shared:
            message = f"{len(shared)} of the {what} share a group with images that {_others(others)}: {_listed(shared)}"
            raise D2FError.of("D2F604", message, "a group is of one picture, such as its tiles", NEXT_STEP)


def shared_names(training: Dataset, validation: Dataset, test: Dataset | None = None) -> Iterator[Problem]:
    """Yield a warning for each part whose collections, or groups that an audit has numbered, stand in another too."""
    for what, _, part, others in _met(training, validation, test):
        for name in ("collection", "group"):
            seen = _names(others, name)
            shared = [getattr(image, name) for image in part if getattr(image, name) in seen]
            if shared:
                yield _warning(
                    f"{len(shared)} of the {what} share a {name} with images that {_others(others)}: {_listed(shared)}",
                    "figures may flatter the network" if name == "collection" else "see that they are not one picture",
                )


def need_apart(training: TileSet, validation: TileSet, test: TileSet | None = None) -> None:
    """Refuse files, by digest, that stand in two parts."""
    for what, said, part, others in _met(training, validation, test):
        seen = {digest for other in others for digest in other.digests}
        shared = sum(digest in seen for digest in part.digests)
        if shared:
            raise D2FError.of("D2F604", f"{shared} of the {what} {said}", NEXT_STEP)


def look_alike(training: TileSet, validation: TileSet, test: TileSet | None = None) -> Iterator[Problem]:
    """Yield a warning for each part with pictures whose perceptual hash is near that of a picture in another part."""
    for what, _, part, others in _met(training, validation, test):
        pairs = [pair for other in others for pair in _near(part, other)]
        if pairs:
            images = len({path for path, _ in pairs})
            shown = tuple(f"{path}  {other}" for path, other in pairs[:SHOWN])
            yield _warning(
                f"{images} of the {what} look like images that {_others(others)}",
                *shown,
                "if they are one picture, figures flatter the network: `d2f data audit` finds and joins them",
            )


def _near(part: TileSet, other: TileSet) -> list[tuple[str, str]]:
    """Return pairs of paths whose pictures look alike; of pictures of one hash the first stands for all."""
    (mine, places), (theirs, other_places) = _distinct(part.hashes), _distinct(other.hashes)
    pairs = near_pairs(np.concatenate([mine, theirs]))
    across = pairs[(pairs[:, 0] < len(mine)) & (pairs[:, 1] >= len(mine))]
    return [(part.dataset[places[i]].path, other.dataset[other_places[j - len(mine)]].path) for i, j in across.tolist()]


def _distinct(hashes: Sequence[int | None]) -> tuple[NDArray[np.uint64], list[int]]:
    first: dict[int, int] = {}
    for place, value in enumerate(hashes):
        if value is not None:
            first.setdefault(value, place)
    return np.array(list(first), dtype=np.uint64), list(first.values())


def _names(parts: Iterable[Dataset], name: str) -> set[str]:
    return {getattr(image, name) for part in parts for image in part} - {""}


def _others(parts: Sequence[object]) -> str:
    return "train" if len(parts) == 1 else "train or validate"


def _listed(names: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(names))
    rest = f" and {len(distinct) - SHOWN} more" if len(distinct) > SHOWN else ""
    return ", ".join(f"'{name}'" for name in distinct[:SHOWN]) + rest


def _warning(message: str, *notes: str) -> Problem:
    return Problem("D2F604", message, notes=notes, severity="warning")
