"""A recipe's augmentations laid over a tile: the same ones for the same tile of the same epoch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import numpy as np

from d2f.api.arrays import Pixels
from d2f.api.errors import D2FError
from d2f.api.nearest import did_you_mean
from d2f.engine.loading import load_once
from d2f.plugins.build import build, read_options
from d2f.plugins.catalog import Catalog
from d2f.training.gradient.operations import OPERATIONS
from d2f.training.gradient.recipe_augment import Augmentation, Choice

Number = int | float


@dataclass
class Operation:
    """A choice of a recipe, built; options that are drawn are built anew each time.

    Parameters
    ----------
    choice : Choice
    catalog : Catalog
    """

    choice: Choice
    catalog: Catalog

    def __post_init__(self) -> None:
        self._lock = Lock()
        self._fixed = None if self.choice.draw else self._built({})
        # Both bounds are tried now, so that a wrong one is told before an hour has passed.
        for end in (0, 1) if self.choice.draw else ():
            self._built({key: bounds[end] for key, bounds in self.choice.draw.items()})

    def apply(self, pixels: Pixels, random: np.random.Generator) -> Pixels:
        """Return the pixels with the operation laid over them."""
        drawn = {key: _between(bounds, random) for key, bounds in self.choice.draw.items()}
        stage, seed = self._fixed or self._built(drawn), int(random.integers(2**63))
        made: Pixels
        if getattr(stage, "thread_safe", False):
            made = stage.apply(pixels, seed)
        else:
            with self._lock:
                made = stage.apply(pixels, seed)
        return made

    def _built(self, drawn: dict[str, Number]) -> Any:
        options = {**self.choice.with_, **drawn}
        own = OPERATIONS.get(self.choice.use)
        if own is not None:
            return own(read_options("augmentation", own, options))
        try:
            stage = build(self.catalog, "preprocessor", self.choice.use, options)
        except D2FError as error:
            raise _suggesting(error, self.choice.use, self.catalog) from error
        load_once(stage)
        return stage


@dataclass(frozen=True)
class Augmenter:
    """Lays augmentations over tiles and brings them to their size.

    Parameters
    ----------
    steps : list of (Augmentation, list of Operation)
    size : int
        Side of what comes out, in pixels.
    seed : int
    """

    steps: list[tuple[Augmentation, list[Operation]]]
    size: int
    seed: int

    @classmethod
    def of(cls, augment: list[Augmentation], size: int, seed: int, catalog: Catalog) -> Augmenter:
        """Build what a recipe names.

        Raises
        ------
        D2FError
            What building a stage raises.
        """
        return cls([(one, [Operation(choice, catalog) for choice in one.choices]) for one in augment], size, seed)

    def __call__(self, tile: Pixels, number: int, epoch: int, place: int) -> Pixels:
        """Return a tile as the network sees it in an epoch, uint8 (size, size, 3).

        Parameters
        ----------
        tile : numpy.ndarray, uint8 (side, side, 3)
        number, epoch, place : int
            Of the tile, of the epoch from 0, and where in the epoch it stands: a tile drawn twice differs.
        """
        random = np.random.default_rng((self.seed, number, epoch, place, 2))
        pixels = tile
        for augmentation, operations in self.steps:
            if random.random() < augmentation.probability:
                operation = operations[int(random.integers(len(operations)))]
                pixels = operation.apply(np.ascontiguousarray(pixels), random)
        return fitted(pixels, self.size, random)


def fitted(pixels: Pixels, size: int, random: np.random.Generator | None = None) -> Pixels:
    """Return a (size, size, 3) window of a picture: drawn, or central; what is missing is mirrored at the edges."""
    short = [max(0, size - side) for side in pixels.shape[:2]]
    if any(short):
        margins = [(one // 2, one - one // 2) for one in short]
        pixels = np.pad(pixels, (*margins, (0, 0)), mode="symmetric")
    rooms = [side - size for side in pixels.shape[:2]]
    top, left = [int(random.integers(room + 1)) if random else room // 2 for room in rooms]
    return np.ascontiguousarray(pixels[top : top + size, left : left + size])


def _between(bounds: list[Number], random: np.random.Generator) -> Number:
    low, high = min(bounds), max(bounds)
    if isinstance(low, int) and isinstance(high, int):
        return int(random.integers(low, high + 1))
    return float(random.uniform(low, high))


def _suggesting(error: D2FError, name: str, catalog: Catalog) -> D2FError:
    """Return the error of an unknown name with what was probably meant, this room's own operations among it."""
    if error.problems[0].code != "D2F111":
        return error
    meant = did_you_mean(name, [*catalog.names("preprocessor"), *OPERATIONS])
    others = tuple(note for note in error.problems[0].notes if not note.startswith("did you mean"))
    return D2FError(replace(error.problems[0], notes=(*meant, *others)), error.exit)


def check(augment: list[Augmentation], catalog: Catalog) -> list[tuple[tuple[str | int, ...], D2FError]]:
    """Return what is wrong with each augmentation, by the path of its `use` in the recipe."""
    found = []
    for i, augmentation in enumerate(augment):
        for j, choice in enumerate(augmentation.choices):
            path: tuple[str | int, ...] = ("augment", i, "one_of", j) if augmentation.one_of else ("augment", i)
            try:
                Operation(choice, catalog)
            except D2FError as error:
                found.append((path, error))
    return found
