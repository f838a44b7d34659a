"""Preprocessors in training: a recipe's augmentations of tiles, repeatable by seed, and its attacks, loaded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from threading import Lock
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from d2f.api.errors import D2FError, did_you_mean
from d2f.api.inputs import Pixels
from d2f.engine.findings import load_once
from d2f.engine.plan import Step
from d2f.engine.spec import parse_spec
from d2f.plugins.build import build, read_options
from d2f.plugins.catalog import Catalog
from d2f.train.recipe import Augmentation, Choice

GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R BT.601)."""


def loaded_steps(spec: str, catalog: Catalog, origin: str = "measure") -> tuple[Step, ...]:
    """Return the steps of a SPEC, each stage built and loaded: what it lacks is reported before any work."""
    steps = parse_spec(spec, catalog, origin)
    for step in steps:
        load_once(step.stage)
    return steps


class _Operation(BaseModel):
    """What the operations of training share; their fields are their options."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    name: ClassVar[str]
    Options: ClassVar[Any]
    thread_safe: ClassVar[bool] = True

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        cls.Options = cls


class Crop(_Operation):
    """A window drawn at random, its pixels as they are; the tile is filled up by mirroring later."""

    name = "crop"
    least: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        default=0.7, description="Least share of the side that is kept."
    )

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the window."""
        random = np.random.default_rng(seed)
        height, width = pixels.shape[:2]
        share = random.uniform(self.least, 1.0)
        rows, columns = max(1, round(height * share)), max(1, round(width * share))
        top, left = random.integers(0, height - rows + 1), random.integers(0, width - columns + 1)
        return pixels[top : top + rows, left : left + columns]


class Flip(_Operation):
    """The mirror image."""

    name = "flip"
    axis: Literal["horizontal", "vertical"] = Field(
        default="horizontal", description="Left with right, or top with bottom."
    )

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the mirror image."""
        return pixels[:, ::-1] if self.axis == "horizontal" else pixels[::-1]


class Rotate(_Operation):
    """A quarter, a half or three quarters of a turn: no pixel is interpolated, so that its noise stays."""

    name = "rotate"

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the turned picture."""
        return np.rot90(pixels, int(np.random.default_rng(seed).integers(1, 4)))


class Colour(_Operation):
    """Brightness, contrast and saturation, each multiplied by a number drawn about 1."""

    name = "colour"
    brightness: float = Field(default=0.2, ge=0.0, lt=1.0, description="Greatest relative change of all values.")
    contrast: float = Field(
        default=0.2, ge=0.0, lt=1.0, description="Greatest relative change of distances from the mean."
    )
    saturation: float = Field(
        default=0.2, ge=0.0, lt=1.0, description="Greatest relative change of distances from grey."
    )

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the changed picture, rounded and clipped."""
        random = np.random.default_rng(seed)
        reach = self.brightness, self.contrast, self.saturation
        bright, contrast, saturation = (np.float32(1 + random.uniform(-one, one)) for one in reach)
        values = pixels.astype(np.float32) * bright
        mean = values.mean(dtype=np.float64).astype(np.float32)
        values = mean + (values - mean) * contrast
        grey = (values @ np.array(GREY, np.float32))[..., None]
        values = grey + (values - grey) * saturation
        made: Pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
        return made


class CutOut(_Operation):
    """A square at a random place becomes grey (DeVries and Taylor 2017, arXiv:1708.04552)."""

    name = "cut-out"
    share: float = Field(default=0.3, gt=0.0, lt=1.0, description="Greatest side of the square over the shorter side.")

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the picture with the square."""
        random = np.random.default_rng(seed)
        height, width = pixels.shape[:2]
        side = max(1, round(min(height, width) * random.uniform(0.0, self.share)))
        top, left = random.integers(0, height - side + 1), random.integers(0, width - side + 1)
        made = pixels.copy()
        made[top : top + side, left : left + side] = 127
        return made


OPERATIONS: dict[str, type[_Operation]] = {one.name: one for one in (Crop, Flip, Rotate, Colour, CutOut)}
"""By the name that recipes use; `crop` here goes before the preprocessor of that name."""


@dataclass
class Operation:
    """A choice of a recipe, built; options that are drawn are built anew each time."""

    choice: Choice
    catalog: Catalog

    def __post_init__(self) -> None:
        self._lock = Lock()
        self._fixed = None if self.choice.draw else self._built({})
        # Both bounds are tried now, so that a wrong one is reported at once.
        for end in (0, 1) if self.choice.draw else ():
            self._built({key: bounds[end] for key, bounds in self.choice.draw.items()})

    def apply(self, pixels: Pixels, random: np.random.Generator) -> Pixels:
        """Return the pixels with the operation applied."""
        drawn = {key: _between(bounds, random) for key, bounds in self.choice.draw.items()}
        stage, seed = self._fixed or self._built(drawn), int(random.integers(2**63))
        made: Pixels
        if getattr(stage, "thread_safe", False):
            made = stage.apply(pixels, seed)
        else:
            with self._lock:
                made = stage.apply(pixels, seed)
        return made

    def _built(self, drawn: dict[str, int | float]) -> Any:
        options = {**self.choice.with_, **drawn}
        own = OPERATIONS.get(self.choice.use)
        if own is not None:
            return read_options("augmentation", own, options)
        try:
            stage = build(self.catalog, "preprocessor", self.choice.use, options)
        except D2FError as error:
            raise _suggesting(error, self.choice.use, self.catalog) from error
        load_once(stage)
        return stage


@dataclass(frozen=True)
class Augmenter:
    """Applies augmentations to tiles and brings them to their size."""

    steps: list[tuple[Augmentation, list[Operation]]]
    size: int
    seed: int

    @classmethod
    def of(cls, augment: list[Augmentation], size: int, seed: int, catalog: Catalog) -> Augmenter:
        """Build what a recipe names."""
        return cls([(one, [Operation(choice, catalog) for choice in one.choices]) for one in augment], size, seed)

    def __call__(self, tile: Pixels, number: int, epoch: int, place: int) -> Pixels:
        """Return a tile as the network sees it in an epoch, uint8 (size, size, 3)."""
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
    spare = [side - size for side in pixels.shape[:2]]
    top, left = [int(random.integers(more + 1)) if random else more // 2 for more in spare]
    return np.ascontiguousarray(pixels[top : top + size, left : left + size])


def _between(bounds: list[int | float], random: np.random.Generator) -> int | float:
    low, high = min(bounds), max(bounds)
    if isinstance(low, int) and isinstance(high, int):
        return int(random.integers(low, high + 1))
    return float(random.uniform(low, high))


def _suggesting(error: D2FError, name: str, catalog: Catalog) -> D2FError:
    """Return the error of an unknown name with what was probably meant, training's own operations among it."""
    if error.problems[0].code != "D2F111":
        return error
    meant = did_you_mean(name, [*catalog.names("preprocessor"), *OPERATIONS])
    others = tuple(note for note in error.problems[0].notes if not note.startswith("did you mean"))
    return D2FError(replace(error.problems[0], notes=(*meant, *others)), error.exit)


def augmentation_errors(augment: list[Augmentation], catalog: Catalog) -> list[tuple[tuple[str | int, ...], D2FError]]:
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
