"""What a fit finds: calibrators, the combiner, the chain's calibrator, and thresholds that hold stated error rates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError, Exit
from d2f.api.inputs import Floats, Labels
from d2f.api.stages import Calibrator, Combiner
from d2f.data.groups import folds
from d2f.data.weights import effective_count, halved, image_weights
from d2f.engine.findings import clipped
from d2f.engine.plan import Decision

if TYPE_CHECKING:
    from pydantic import BaseModel

    from d2f.evaluate.score import ScoreTable


@dataclass(frozen=True)
class FitRecipe:
    """The stages that are to be fitted."""

    members: tuple[str, ...]
    calibrators: Mapping[str, type[Calibrator]]
    combiner: type[Combiner]
    combiner_options: BaseModel
    chain_calibrator: type[Calibrator]
    need: int = 1


@dataclass(frozen=True)
class FitRows:
    """Scores in a table of rows, one for each copy of each image; all arrays have m rows."""

    scores: Floats  # (m, members), float64
    labels: Labels  # (m,), int8
    weights: Floats  # (m,), float64
    images: NDArray[np.int64]  # (m,), int64
    components: NDArray[np.int64]  # (m,), int64

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> FitRows:
        """Return the rows where a mask of shape (m,) holds, or those at indices, in their order."""
        return FitRows(
            self.scores[keep], self.labels[keep], self.weights[keep], self.images[keep], self.components[keep]
        )

    def folds(self, k: int, seed: int) -> NDArray[np.int64]:
        """Return each row's fold, by `d2f.data.groups.folds`: no component is cut."""
        return folds(self.components, self.labels, k, seed)

    def inner_folds(self, k: int, seed: int) -> NDArray[np.int64]:
        """Return each row's fold within what a fold has left; images stay whole where components cannot.

        These folds feed the combiner only; no figure is measured on them.
        """
        try:
            return self.folds(k, seed)
        except D2FError:
            return folds(self.images, self.labels, k, seed)


def as_rows(table: ScoreTable, by_source: bool = True) -> FitRows:
    """Return the rows of a score table, weighted by `image_weights`, or evenly within each label."""
    count = len(table.copies)
    weights = image_weights(table.images) if by_source else halved(np.ones(len(table.images)), table.labels)
    return FitRows(
        table.flat(),
        np.repeat(table.labels, count),
        np.repeat(weights / count, count),
        np.repeat(np.arange(len(table.images)), count),
        np.repeat(table.components, count),
    )


@dataclass(frozen=True)
class Parts:
    """What a fit found."""

    recipe: FitRecipe
    calibrators: Mapping[str, BaseModel]
    combiner: BaseModel
    chain_calibrator: BaseModel

    def decision(self, prior: float = 0.5, real_below: float = 0.5, generated_above: float = 0.5) -> Decision:
        """Build the stages with the options that were found."""
        recipe = self.recipe
        return Decision(
            {member: recipe.calibrators[member](options) for member, options in self.calibrators.items()},
            recipe.combiner(self.combiner, recipe.members),
            recipe.need,
            recipe.chain_calibrator(self.chain_calibrator),
            prior,
            real_below,
            generated_above,
        )


def fit_parts(recipe: FitRecipe, rows: FitRows, k: int, seed: int) -> Parts:
    """Fit members' calibrators, combiner and chain's calibrator, each on the out-of-fold output of the one before.

    The combiner is fitted to probabilities that calibrators fitted on other folds gave, and the chain's
    calibrator to ratios that combiners fitted on other folds gave (Wolpert 1992, doi:10.1016/S0893-6080(05)80023-1);
    the calibrators that are kept are then fitted to all rows.
    """
    fold = rows.inner_folds(k, seed)
    probabilities = np.full(rows.scores.shape, np.nan)
    for number in np.unique(fold):
        held = fold == number
        probabilities[held] = calibrated(recipe, fit_calibrators(recipe, rows.take(~held)), rows.scores[held])
    usable = np.isfinite(probabilities).sum(axis=1) >= max(1, recipe.need)
    if len(set(rows.labels[usable].tolist())) < 2:
        why = "no detector has a score for enough images of both labels"
        raise D2FError.of("D2F603", why, "`d2f chain run` on some of the images shows why members abstain")
    kept, table, fold = rows.take(usable), probabilities[usable], fold[usable]
    ratios = np.empty(len(kept))
    for number in np.unique(fold):
        held = fold == number
        options = fit_combiner(recipe, kept.take(~held), table[~held])
        ratios[held] = recipe.combiner(options, recipe.members).combine(table[held]).llr
    with _fitting("the chain's calibrator"):
        above = recipe.chain_calibrator.fit(ratios, kept.labels, halved(kept.weights, kept.labels))
    return Parts(recipe, fit_calibrators(recipe, rows), fit_combiner(recipe, kept, table), above)


def fit_calibrators(recipe: FitRecipe, rows: FitRows) -> dict[str, BaseModel]:
    """Fit the calibrator of every member that has scores of both labels, at even prior among the rows it scored."""
    found: dict[str, BaseModel] = {}
    for column, member in enumerate(recipe.members):
        scores, labels = rows.scores[:, column], rows.labels
        scored = np.isfinite(scores)
        if len(set(labels[scored].tolist())) == 2:
            weights = halved(rows.weights[scored], labels[scored])
            with _fitting(f"calibrator '{recipe.calibrators[member].name}' of {member}"):
                found[member] = recipe.calibrators[member].fit(scores[scored], labels[scored], weights)
    return found


def calibrated(recipe: FitRecipe, calibrators: Mapping[str, BaseModel], scores: Floats) -> Floats:
    """Return the members' probabilities, NaN where a member has no score or no calibrator."""
    found = np.full(scores.shape, np.nan)
    for column, member in enumerate(recipe.members):
        scored = np.isfinite(scores[:, column])
        if member in calibrators and scored.any():
            stage = recipe.calibrators[member](calibrators[member])
            found[scored, column] = stage.probability(scores[scored, column])
    return clipped(found)


def fit_combiner(recipe: FitRecipe, rows: FitRows, probabilities: Floats) -> BaseModel:
    """Fit the combiner's options to members' probabilities."""
    weights = halved(rows.weights, rows.labels)
    with _fitting(f"combiner '{recipe.combiner.name}'"):
        return recipe.combiner.fit(recipe.combiner_options, recipe.members, probabilities, rows.labels, weights)


@contextmanager
def _fitting(what: str) -> Iterator[None]:
    try:
        yield
    except D2FError:
        raise
    except Exception as error:
        problem = f"{what} raised as it was fitted: {type(error).__name__}: {error}"
        raise D2FError.of("D2F407" if "combiner" in what else "D2F406", problem, exit=Exit.PLUGIN) from error


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where verdicts begin."""

    real_below: float
    generated_above: float
    crossed: bool = False


def fit_thresholds(rows: FitRows, probability: Floats, false_positive_rate: float, miss_rate: float) -> Thresholds:
    """Find the thresholds that hold both rates.

    `generated_above` is the smallest at which at most `false_positive_rate` of the photographs lie above it,
    `real_below` the greatest at which at most `miss_rate` of the generated images lie below it; in both cases one more
    image, not seen, is counted as an error, so that the rate holds for the next image and not only for those at hand
    (Vovk, Gammerman and Shafer 2005, ISBN 9780387001524, section 2.2). Where they would cross, every threshold
    between them holds both rates, and the one nearest to 0.5 becomes both.

    `probability` shape (m,), float64.
    """
    real, generated = rows.labels == 0, rows.labels == 1
    above = _level(probability[real], rows.weights[real], rows.images[real], false_positive_rate)
    mirrored = _level(1 - probability[generated], rows.weights[generated], rows.images[generated], miss_rate)
    below = round(1 - mirrored, 4)
    if below <= above:
        return Thresholds(below, above)
    middle = min(max(0.5, above), below)
    return Thresholds(middle, middle, crossed=True)


def images_needed(rate: float) -> int:
    """How many images of a label the rate needs at least: the smallest n with 1 / (n + 1) <= rate.

    >>> images_needed(0.05), images_needed(0.01)
    (19, 99)
    """
    return int(np.ceil(1 / rate - 1 - 1e-9)) if rate > 0 else 0


def _level(values: Floats, weights: Floats, images: NDArray[np.int64], rate: float) -> float:
    """The smallest level in [0, 1] that at most `rate` of the weight, one unseen image included, lies above."""
    unseen = weights.sum() / max(effective_count(np.bincount(images, weights).astype(np.float64)), 1.0)
    allowed = rate * (weights.sum() + unseen) - unseen + 1e-12
    if allowed < 0:
        return 1.0
    known = np.isfinite(values)
    levels, at = np.unique(np.round(np.append(values[known], 0.0), 4), return_inverse=True)
    mass = np.bincount(at, np.append(weights[known], 0.0), minlength=len(levels))
    above = mass.sum() - np.cumsum(mass)
    return float(levels[np.argmax(above <= allowed)])
