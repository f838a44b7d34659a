"""A run's loop put together: network, optimiser, schedule, and the place where an earlier run was ended."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten

from d2f.api.arrays import Floats
from d2f.training.gradient.augment import Augmenter
from d2f.training.gradient.checkpoint import Position, restore
from d2f.training.gradient.drawing import label_counts, tile_weights
from d2f.training.gradient.feeding import Feeder
from d2f.training.gradient.log import Log
from d2f.training.gradient.loop import LAST, Loop
from d2f.training.gradient.memory import fitting_batch
from d2f.training.gradient.rates import Rates
from d2f.training.gradient.recipe import NetworkRecipe
from d2f.training.gradient.request import Work
from d2f.training.gradient.starting import Started
from d2f.training.gradient.stepping import Stepper, make_optimiser, wants_compiling
from d2f.training.gradient.tile_set import TileSet
from d2f.training.gradient.update_size import UpdateSize


def make_loop(work: Work, started: Started, most: int, training: TileSet, validation: TileSet) -> Loop:
    """Return the loop of a run, fresh or where its last checkpoint stood.

    Parameters
    ----------
    work : Work
    started : Started
    most : int
        Tiles that may go through the network at once.
    training, validation : TileSet

    Raises
    ------
    D2FError
        D2F004 where the log cannot be written; D2F504, D2F505 for a checkpoint that is damaged.
    """
    recipe, processes, network = work.recipe, work.processes, started.network
    optimiser = make_optimiser(recipe.optimiser)
    position = _position(work, network, optimiser)
    drawn = sum(label_counts(training.labels, recipe.balance))
    size = UpdateSize.of(drawn, recipe.batch, recipe.accumulate, most, processes.count)
    rates = Rates(recipe.schedule, recipe.optimiser.rate, max(1, size.updates(drawn)), recipe.epochs)
    if position.rates:
        rates.state = position.rates
    reduce = processes.sum_tree if processes.count > 1 else None
    stepper = Stepper(network, optimiser, recipe.loss.smoothing, recipe.optimiser.clip, wants_compiling(recipe), reduce)
    weights, class_weights = _weights(recipe, training)
    return Loop(
        recipe=recipe,
        stepper=stepper,
        rates=rates,
        size=size,
        training=training,
        validation=validation,
        weights=weights,
        class_weights=class_weights,
        augmenter=Augmenter.of(recipe.augment, recipe.tiles.size, recipe.seed, work.catalog),
        feeder=_feeder(work),
        processes=processes,
        folder=work.folder.path,
        log=Log(work.folder.path / "log.jsonl", position.log, processes.rank == 0),
        watcher=work.watcher,
        position=position,
        trained_before=started.trained_on,
    )


def most_at_once(work: Work) -> int:
    """Return the most tiles that may go through the network at once, by a dry step where a recipe bounds memory.

    Raises
    ------
    D2FError
        D2F624: memory does not suffice for one.
    """
    recipe = work.recipe
    if recipe.memory_bytes is None:
        return recipe.batch
    most = fitting_batch(work.trainable, recipe, recipe.memory_bytes)
    work.watcher.say(f"{most} tiles at a time fit {recipe.memory}")
    return most


def _feeder(work: Work) -> Feeder:
    feeder = Feeder(work.request.workers)
    if not feeder.native:
        work.watcher.say("mlx-data is not installed: plain threads feed the network, in the same order")
    return feeder


def _position(work: Work, network: Any, optimiser: Any) -> Position:
    """Return where a run stands; one that goes on has its network and optimiser restored."""
    last = work.folder.path / LAST
    if not work.request.resume or not last.is_file():
        return Position()
    position = restore(last, network, optimiser)
    work.watcher.say(f"goes on in epoch {position.epoch + 1}, after {position.update} updates")
    return position


def _weights(recipe: NetworkRecipe, tiles: TileSet) -> tuple[Floats, Floats]:
    """Return with which weights tiles are drawn, and which they have in the loss, (tiles,) each."""
    weights, even = tile_weights(tiles, recipe.balance.sources), np.ones(len(tiles))
    drawing, loss = (even, weights) if recipe.balance.by == "weights" else (weights, even)
    wanted = recipe.loss.class_weights
    if wanted is not None:
        loss = loss * (np.array(wanted) * 2 / sum(wanted))[tiles.labels]
    return drawing, loss


def sizes(loop: Loop) -> dict[str, Any]:
    """Return what a log says of a run's size."""
    parameters = sum(array.size for _, array in tree_flatten(loop.network.trainable_parameters()))
    drawn = label_counts(loop.training.labels, loop.recipe.balance)
    return {
        "parameters": parameters,
        "device": str(mx.default_device()),
        "compiled": wants_compiling(loop.recipe),
        "feeder": loop.feeder.name,
        "processes": loop.processes.count,
        "tiles": {"before": np.bincount(loop.training.labels, minlength=2).tolist(), "epoch": list(drawn)},
        "update": {"tiles": loop.size.tiles, "batch": loop.size.batch, "batches": loop.size.batches},
    }
