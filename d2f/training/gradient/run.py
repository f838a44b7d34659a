"""`d2f train` for networks: a recipe and images in; a run folder, a weights file and its figures out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

from d2f.api.errors import D2FError
from d2f.data.digest import digest_of
from d2f.models import arrays_of, load_arrays
from d2f.plugins.build import build
from d2f.plugins.catalog import Catalog
from d2f.training.gradient.attacks import measure_all
from d2f.training.gradient.augment import Augmenter
from d2f.training.gradient.checkpoint import Position, restore
from d2f.training.gradient.copies import TileCutter
from d2f.training.gradient.drawing import label_counts, tile_weights
from d2f.training.gradient.feeding import Feeder
from d2f.training.gradient.folder import RunFolder
from d2f.training.gradient.log import Log, read_log
from d2f.training.gradient.loop import BEST, LAST, Loop
from d2f.training.gradient.losses import check_head
from d2f.training.gradient.measuring import Measured
from d2f.training.gradient.memory import fitting_batch
from d2f.training.gradient.parts import Parts, need_apart, need_both, parts
from d2f.training.gradient.processes import Processes
from d2f.training.gradient.rates import Rates
from d2f.training.gradient.recipe import NetworkRecipe
from d2f.training.gradient.report import write_report
from d2f.training.gradient.starting import starting_network
from d2f.training.gradient.stepping import Stepper, make_optimiser, wants_compiling
from d2f.training.gradient.tile_set import TileSet, make_tiles
from d2f.training.gradient.update_size import UpdateSize
from d2f.training.gradient.watching import Silent, Watcher
from d2f.training.run import recipe_digest
from d2f.version import __version__
from d2f.weights import read_weights, short_digests, write_weights


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """What came of a run.

    Parameters
    ----------
    weights : Path
        The weights file.
    sha256 : str
        Its digest.
    figures : dict of str to Measured
        Of the best epoch: ``clean``, each attack, and ``test`` where the recipe names one.
    folder : Path
        What the run left.
    """

    weights: Path
    sha256: str
    figures: dict[str, Measured]
    folder: Path


@dataclass(frozen=True)
class Request:
    """What is asked of a run beside its recipe.

    Parameters
    ----------
    output : Path
        The weights file; the run folder stands beside it.
    data : str, optional
        A folder or manifest; the recipe's own otherwise.
    workers : int
        Threads that make tiles; the result does not depend on it.
    resume : bool
        Go on with a run that was ended.
    fold : (int, int), optional
        Of a k-fold run: which fold validates, and how many there are.
    """

    output: Path
    data: str | None = None
    workers: int = 1
    resume: bool = False
    fold: tuple[int, int] | None = None


def train_network(recipe: NetworkRecipe, catalog: Catalog, request: Request, watcher: Watcher) -> TrainedNetwork:
    """Train the network that a recipe asks for, and leave its weights and a run folder.

    Raises
    ------
    D2FError
        What reading the data raises; D2F004 where an output cannot be written; D2F603, D2F604, D2F606 for data
        or a recipe that cannot be trained on; D2F607 where the trainable is no network; D2F620 for broken images;
        D2F621 where a label is missing; D2F622 where the loss is not finite; D2F623 for a run that stands in the
        way; D2F624 where memory does not suffice.
    """
    if request.output.suffix != ".safetensors":
        raise D2FError.of("D2F004", f"weights are written as .safetensors, not as '{request.output.name}'")
    processes, trainable = Processes.found(), _network_trainable(recipe, catalog)
    watcher = watcher if processes.rank == 0 else Silent()
    if processes.count > 1:
        watcher.say(f"{processes.count} processes train together, each on its share of every update")
    folder = RunFolder(request.output.with_suffix(".run"), processes.rank)
    folder.claim(recipe, request.resume)
    divided = parts(recipe, request.data, request.fold)
    training, validation = _tiles(recipe, divided, folder, request.workers, watcher)
    try:
        facts = _facts(recipe, training, divided)
        folder.describe(recipe, facts, request.resume)
        loop = _loop(recipe, trainable, catalog, training, validation, folder, processes, request, watcher)
        if not request.resume or loop.position.log == 0:
            loop.log.write("start", **facts, **_sizes(recipe, loop))
        loop.run()
        return _finished(recipe, catalog, loop, divided, facts, request, folder)
    finally:
        training.cache.close()
        validation.cache.close()


def _network_trainable(recipe: NetworkRecipe, catalog: Catalog) -> Any:
    trainable = build(catalog, "trainable", recipe.train, recipe.with_)
    if not callable(getattr(trainable, "build", None)):
        raise D2FError.of("D2F607", f"trainable '{recipe.train}' is no network: it has no `build`")
    return trainable


def _tiles(
    recipe: NetworkRecipe, divided: Parts, folder: RunFolder, workers: int, watcher: Watcher
) -> tuple[TileSet, TileSet]:
    """Cut all tiles, and see that there are some of both labels, of different files."""
    made = []
    for dataset, name in ((divided.training, "training"), (divided.validation, "validation")):
        watcher.say(f"{name}: {dataset.describe()}")
        cutter = TileCutter(recipe, name == "training")
        tiles = make_tiles(dataset, cutter, folder.tile_file(name), workers, watcher.images)
        without = (
            f"; {tiles.without} images have none: smaller than {cutter.side} pixels, or flat" if tiles.without else ""
        )
        counts = np.bincount(tiles.labels, minlength=2)
        watcher.say(f"{name} tiles: {counts[0]} real, {counts[1]} generated{without}")
        made.append(tiles)
        notes = (f"tiles are of {cutter.side} pixels: see `tiles` in the recipe",)
        need_both(counts, f"{name} tiles", notes)
    need_apart(made[0].digests, made[1].digests)
    drawn = label_counts(made[0].labels, recipe.balance)
    watcher.say(f"each epoch draws {drawn[0]} real and {drawn[1]} generated tiles")
    return made[0], made[1]


def _loop(
    recipe: NetworkRecipe,
    trainable: Any,
    catalog: Catalog,
    training: TileSet,
    validation: TileSet,
    folder: RunFolder,
    processes: Processes,
    request: Request,
    watcher: Watcher,
) -> Loop:
    most = recipe.batch
    if recipe.memory_bytes is not None:
        most = fitting_batch(trainable, recipe, recipe.memory_bytes)
        watcher.say(f"{most} tiles at a time fit {recipe.memory}")
    mx.random.seed(recipe.seed)
    network, trained_before = starting_network(recipe, trainable, catalog)
    optimiser = make_optimiser(recipe.optimiser)
    side = recipe.tiles.size
    network.eval()
    check_head(network(mx.zeros((1, side, side, 3))), recipe.loss)
    position, last = Position(), folder.path / LAST
    if request.resume and last.is_file():
        position = restore(last, network, optimiser)
        watcher.say(f"goes on in epoch {position.epoch + 1}, after {position.update} updates")
    drawn = sum(label_counts(training.labels, recipe.balance))
    size = UpdateSize.of(drawn, recipe.batch, recipe.accumulate, most, processes.count)
    rates = Rates(recipe.schedule, recipe.optimiser.rate, max(1, size.updates(drawn)), recipe.epochs)
    if position.rates:
        rates.state = position.rates
    reduce = processes.sum_tree if processes.count > 1 else None
    stepper = Stepper(network, optimiser, recipe.loss.smoothing, recipe.optimiser.clip, wants_compiling(recipe), reduce)
    weights = tile_weights(training, recipe.balance.sources)
    by_loss = recipe.balance.by == "weights"
    return Loop(
        recipe=recipe,
        stepper=stepper,
        rates=rates,
        size=size,
        training=training,
        validation=validation,
        weights=np.ones(len(training)) if by_loss else weights,
        class_weights=_loss_weights(recipe, training, weights if by_loss else np.ones(len(training))),
        augmenter=Augmenter.of(recipe.augment, side, recipe.seed, catalog),
        feeder=Feeder(request.workers),
        processes=processes,
        folder=folder.path,
        log=Log(folder.path / "log.jsonl", position.log, processes.rank == 0),
        watcher=watcher,
        position=position,
        trained_before=trained_before,
    )


def _loss_weights(recipe: NetworkRecipe, tiles: TileSet, weights: np.ndarray) -> np.ndarray:
    wanted = recipe.loss.class_weights
    if wanted is None:
        return weights
    return weights * (np.array(wanted) * 2 / sum(wanted))[tiles.labels]


def _sizes(recipe: NetworkRecipe, loop: Loop) -> dict[str, Any]:
    """Return what a log says of a run's size."""
    from mlx.utils import tree_flatten

    parameters = sum(array.size for _, array in tree_flatten(loop.network.trainable_parameters()))
    drawn = label_counts(loop.training.labels, recipe.balance)
    return {
        "parameters": parameters,
        "device": str(mx.default_device()),
        "compiled": wants_compiling(recipe),
        "feeder": loop.feeder.name,
        "processes": loop.processes.count,
        "tiles": {"before": np.bincount(loop.training.labels, minlength=2).tolist(), "epoch": list(drawn)},
        "update": {"tiles": loop.size.tiles, "batch": loop.size.batch, "batches": loop.size.batches},
    }


def _finished(
    recipe: NetworkRecipe,
    catalog: Catalog,
    loop: Loop,
    divided: Parts,
    facts: dict[str, str],
    request: Request,
    folder: RunFolder,
) -> TrainedNetwork:
    """Measure the best epoch once more, and under attacks; write the weights and what a person looks at."""
    loop.processes.wait()
    load_arrays(loop.network, dict(read_weights(folder.path / BEST).arrays), BEST)
    figures = measure_all(recipe, catalog, loop, divided, folder, request.workers)
    sha256 = ""
    if loop.processes.rank == 0:
        best = loop.position.best_epoch + 1
        told = {name: figures[name].row() for name in figures}
        metadata = {**facts, "epoch": str(best), "measured": json.dumps(told, sort_keys=True)}
        arrays = arrays_of(loop.network)
        sha256 = write_weights(request.output, arrays, metadata, _trained_on(loop))
        folder.write_npz(request.output.with_suffix(".npz"), arrays)
        if not read_log(loop.log.path, "end"):
            loop.log.write("end", best_epoch=best, measured=told, weights=request.output.name, sha256=sha256)
        for line in write_report(folder.path, recipe, metadata, figures, loop.validation.dataset):
            loop.watcher.say(line)
    return TrainedNetwork(request.output, sha256, figures, folder.path)


def _trained_on(loop: Loop) -> np.ndarray:
    """Return what the weights were trained on, by this run and by those that it started from."""
    digests = short_digests(loop.training.digests)
    return digests if loop.trained_before is None else np.union1d(digests, loop.trained_before)


def _facts(recipe: NetworkRecipe, training: TileSet, divided: Parts) -> dict[str, str]:
    """Return what a weights file says of itself."""
    labels = training.dataset.labels.tolist()
    return {
        "d2f": __version__,
        "trainable": recipe.train,
        "options": json.dumps(recipe.with_, sort_keys=True),
        "recipe": recipe_digest(recipe),
        "data": digest_of(zip(training.digests, labels, strict=True)),
        "part": recipe.data.part,
        "images": str(len(divided.training)),
        "collections": str(len(divided.training.collections)),
        "tile": str(recipe.tiles.size),
        "seed": str(recipe.seed),
    }
