"""How many tiles may go through a network at once: measured by a dry step, before training."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError
from d2f.api.inputs import Floats, Labels
from d2f.metrics import balanced_accuracy, roc_auc
from d2f.train.feeding import Batch, Feeder, in_order
from d2f.train.network_recipe import NetworkRecipe
from d2f.train.stepping import Stepper, make_optimiser
from d2f.train.tiles import TileSet

BATCH = 16
"""Tiles that are measured at once."""

Predict = Callable[[Batch], tuple[NDArray[Any], NDArray[Any]]]
"""A batch to the score and the loss of each of its tiles."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures of validation; an image is called generated where its score is above 0."""

    images: int
    loss: float
    accuracy: float
    balanced_accuracy: float
    f1: float
    auc: float
    generators: dict[str, float]
    confusion: list[list[int]]
    scores: Floats = field(repr=False)  # (images,)

    def row(self) -> dict[str, Any]:
        """Return the figures as plain data, without the scores."""
        plain = asdict(self)
        plain.pop("scores")
        return plain

    def watched(self, name: str) -> float:
        """Return a figure such that less is better."""
        value = float(getattr(self, name))
        value = value if name == "loss" else -value
        return math.inf if math.isnan(value) else value


def predict_tiles(
    tiles: TileSet, predict: Predict, feeder: Feeder, share: tuple[int, int] = (0, 1)
) -> NDArray[np.float64]:
    """Return the score and the loss of each tile, shape (tiles, 2); zeros for those of other processes."""
    found = np.zeros((len(tiles), 2))
    wanted = in_order(len(tiles))[share[0] :: share[1]]
    for batch in feeder.batches(wanted, BATCH, lambda number, _: tiles.tile(number)):
        found[batch.numbers] = np.stack(predict(batch), axis=1)
    return found


def measured(tiles: TileSet, found: NDArray[np.float64]) -> Measured:
    """Return the figures of tiles' scores and losses (tiles, 2)."""
    counts = np.bincount(tiles.image, minlength=len(tiles.dataset))
    sums = np.bincount(tiles.image, weights=found[:, 0], minlength=len(tiles.dataset))
    scores = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    there = counts > 0
    labels, called = tiles.dataset.labels[there], scores[there] > 0
    table = _confusion(labels, called)
    (_, false), (missed, hit) = table
    return Measured(
        images=int(there.sum()),
        loss=float(found[:, 1].mean()),
        accuracy=float((called == labels).mean()),
        balanced_accuracy=float(balanced_accuracy(labels, scores[there], 0.0)),
        f1=2 * hit / (2 * hit + false + missed) if hit + false + missed else float("nan"),
        auc=roc_auc(labels, scores[there]),
        generators=_by_generator(tiles, there, called),
        confusion=table,
        scores=scores,
    )


def _confusion(labels: Labels, called: NDArray[np.bool_]) -> list[list[int]]:
    return [[int(np.count_nonzero((labels == label) & (called == said))) for said in (False, True)] for label in (0, 1)]


def _by_generator(tiles: TileSet, there: NDArray[np.bool_], called: NDArray[np.bool_]) -> dict[str, float]:
    images = [image for image, has in zip(tiles.dataset, there, strict=True) if has]
    names = np.array([(image.generator or "unnamed") if image.label else "real" for image in images])
    right = called == np.array([image.label for image in images])
    return {str(name): float(right[names == name].mean()) for name in np.unique(names)}


TRIED = (2, 4)
"""Tiles of the two dry steps; memory grows evenly with tiles."""


def step_peak(trainable: Any, recipe: NetworkRecipe, tiles: int) -> int:
    """Return the most bytes that MLX holds during a step of so many tiles on a fresh network."""
    side = recipe.tiles.size
    mx.clear_cache()
    mx.reset_peak_memory()
    stepper = Stepper(trainable.build(), make_optimiser(recipe.optimiser), recipe.loss.smoothing)
    stepper.add(np.zeros((tiles, side, side, 3), np.uint8), np.arange(tiles) % 2, np.full(tiles, 1 / tiles))
    stepper.update(0.0)
    return int(mx.get_peak_memory())


def fitting_batch(trainable: Any, recipe: NetworkRecipe, budget: int) -> int:
    """Return the largest divisor of a recipe's batch whose step stays within a budget in bytes.

    On a CPU an allocation that fails ends the process, so that nothing is left to be caught: it is measured before.
    """
    least, more = (step_peak(trainable, recipe, tiles) for tiles in TRIED)
    each = max(0.0, (more - least) / (TRIED[1] - TRIED[0]))
    divisors = [number for number in range(1, recipe.batch + 1) if recipe.batch % number == 0]
    needed = {number: least + (number - TRIED[0]) * each for number in divisors}
    within = [number for number in divisors if needed[number] <= budget]
    if not within:
        message = f"a step of one tile takes {needed[1] / 1e6:.0f} MB, more than the {budget / 1e6:.0f} MB of `memory`"
        raise D2FError.of("D2F624", message, "allow more, or take a smaller network, an early stem or smaller tiles")
    return max(within)
