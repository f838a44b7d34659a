"""What is fitted to: a row for each copy of each image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError
from d2f.api.inputs import Floats, Labels, ProtocolName
from d2f.api.stages import Calibrator, Combiner
from d2f.chain.yaml import as_text, parse
from d2f.data.dataset import Labelled
from d2f.data.split import folds
from d2f.evaluate.score import ScoreTable
from d2f.plugins.build import read_options

if TYPE_CHECKING:
    from pydantic import BaseModel

    from d2f.chain.chain import Chain


def image_weights(images: Iterable[Labelled]) -> Floats:
    """Return weights that sum to 1, half of it on each label that is there.

    Within a label, images of one collection and generator (or source, for photographs) share a weight in
    proportion to the square root of their number: a large source counts more than a small one, without
    drowning it.

    Returns shape (n,), float64.
    """
    listed = list(images)
    keys = [(image.label, image.collection, image.generator if image.label else image.source) for image in listed]
    sizes = Counter(keys)
    raw = np.array([sizes[key] ** -0.5 for key in keys])
    return balanced(raw, np.array([image.label for image in listed], dtype=np.int8))


def balanced(weights: Floats, labels: Labels) -> Floats:
    """Return weights scaled so that both labels weigh the same and all sum to 1.

    Where one label is missing, the other weighs 1.
    """
    totals = np.array([weights[labels == label].sum() for label in (0, 1)])
    shares = totals * np.count_nonzero(totals)
    scaled: Floats = weights / shares[labels.astype(np.int64)]
    return scaled


def effective_count(weights: Floats) -> float:
    """How many equally weighted images these weights are worth: (sum w)^2 / sum w^2 (Kish, 1965)."""
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


CALIBRATOR = "platt"
"""Of a member, or of the chain's own ratio, for which the file names none."""


@dataclass(frozen=True)
class Recipe:
    """The stages that are to be fitted."""

    members: tuple[str, ...]
    calibrators: Mapping[str, type[Calibrator]]
    combiner: type[Combiner]
    combiner_options: BaseModel
    chain_calibrator: type[Calibrator]
    need: int = 1


def read_recipe(chain: Chain, calibrator: str = CALIBRATOR) -> Recipe:
    """Read off a chain what its author chose.

    A calibrator that the file names, for a member under ``calibrate`` or for the chain under ``combine.calibrate``,
    is fitted anew; `calibrator` serves where it names none.
    """
    named = _named(chain.text)
    combine = chain.file.combine
    above = combine.calibrate.use if combine.calibrate else calibrator
    combiner = chain.catalog.find("combiner", combine.use)
    members = chain.plan.member_names
    return Recipe(
        members,
        {member: chain.catalog.find("calibrator", named.get(member, calibrator)) for member in members},
        combiner,
        read_options("combiner", combiner, combine.with_),
        chain.catalog.find("calibrator", above),
        combine.need,
    )


def _named(text: str) -> dict[str, str]:
    """Calibrators by member, as the file names them; a chain loaded to be refitted no longer holds them."""
    source, _ = parse(as_text("chain", text))
    calibrate: Any = source.data.get("calibrate") if source else None
    listed = calibrate.items() if isinstance(calibrate, Mapping) else ()
    return {
        member: use["use"] for member, use in listed if isinstance(use, Mapping) and isinstance(use.get("use"), str)
    }


ATTACKS = (
    "wiener:window=7",
    "wiener:window=7+noise:sigma=2",
    "jpeg:quality=60",
    "webp:quality=80",
    "resize:factor=0.5,back=true",
    "gaussian-blur:sigma=1",
    "noise:sigma=5",
)
"""Laundered copies that a fit adds by default: what images meet on their way, and what was seen to turn detectors."""


@dataclass(frozen=True)
class Request:
    """How a chain is to be fitted."""

    attacks: tuple[str, ...] = ATTACKS
    protocol: ProtocolName = "whole"
    folds: int = 5
    seed: int = 0
    calibrator: str = CALIBRATOR
    allow_overlap: bool = False
    oof_weights: Mapping[str, str] = field(default_factory=dict)
    workers: int | None = None
    keep_scores: str | None = None
    today: date = field(default_factory=date.today)
    tick: Callable[[], None] | None = None


@dataclass(frozen=True)
class Rows:
    """Scores in a table of rows; all arrays have m rows."""

    scores: Floats  # (m, members), float64
    labels: Labels  # (m,), int8
    weights: Floats  # (m,), float64
    images: NDArray[np.int64]  # (m,), int64
    components: NDArray[np.int64]  # (m,), int64

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> Rows:
        """Return the rows where a mask of shape (m,) holds, or those at indices, in their order."""
        return Rows(self.scores[keep], self.labels[keep], self.weights[keep], self.images[keep], self.components[keep])

    def deal(self, k: int, seed: int) -> NDArray[np.int64]:
        """Return each row's fold, by `d2f.data.split.folds`: no component is cut."""
        return folds(self.components, self.labels, k, seed)

    def deal_inside(self, k: int, seed: int) -> NDArray[np.int64]:
        """Return each row's fold within what a fold has left; images stay whole where components cannot.

        These folds feed the combiner only; no figure is measured on them.
        """
        try:
            return self.deal(k, seed)
        except D2FError:
            return folds(self.images, self.labels, k, seed)


def as_rows(table: ScoreTable, by_source: bool = True) -> Rows:
    """Return the rows of a score table, weighted by `image_weights`, or evenly within each label."""
    count = len(table.copies)
    even = balanced(np.ones(len(table.images)), table.labels)
    weights = (image_weights(table.images) if by_source else even) / count
    return Rows(
        table.flat(),
        np.repeat(table.labels, count),
        np.repeat(weights, count),
        np.repeat(np.arange(len(table.images)), count),
        np.repeat(table.components, count),
    )
