"""`d2f train` for networks: a recipe and images in; a run folder, a weights file and its figures out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten

from d2f.api.errors import D2FError
from d2f.api.inputs import Floats
from d2f.models import arrays_of, freeze, from_published, load_arrays
from d2f.plugins.build import build, read_options
from d2f.plugins.catalog import Catalog
from d2f.train.attacks import measure_all
from d2f.train.feeding import Feeder, label_counts, tile_weights
from d2f.train.folder import Log, Position, RunFolder, read_log, restore
from d2f.train.loop import BEST, LAST, Loop
from d2f.train.material import cut_parts, facts
from d2f.train.measuring import Measured, fitting_batch
from d2f.train.network_recipe import NetworkRecipe, Start
from d2f.train.operations import Augmenter
from d2f.train.report import write_report
from d2f.train.stepping import Rates, Stepper, UpdateSize, check_head, make_optimiser, wants_compiling
from d2f.train.tiles import TileSet
from d2f.train.work import Parts, Processes, Request, Silent, TrainedNetwork, Watcher, Work, parts
from d2f.weights import WeightsFile, read_weights, resolve, short_digests, write_weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Started:
    """A network before its first step."""

    network: Any
    sha256: str = ""
    trained_on: NDArray[np.uint64] | None = None


def start(work: Work) -> Started:
    """Return a recipe's network, drawn from its seed or loaded; faults are raised before images are read."""
    recipe = work.recipe
    mx.random.seed(recipe.seed)
    started = Started(work.trainable.build())
    if recipe.start is not None:
        held = read_weights(resolve(recipe.start.weights, work.catalog.weights))
        started = Started(started.network, held.sha256, held.trained_on)
        _load(started.network, held, recipe.start)
        for line in _differences(work, started.network, held, recipe.start):
            work.watcher.say(line)
    started.network.eval()
    side = recipe.tiles.size
    check_head(started.network(mx.zeros((1, side, side, 3))), recipe.loss)
    return started


def _load(network: Any, held: WeightsFile, wanted: Start) -> None:
    arrays: dict[str, Any] = held.arrays
    if wanted.publisher != "d2f":
        arrays = from_published(arrays, wanted.publisher, drop_head=True).arrays
    load_arrays(network, arrays, wanted.weights, new_head=True)
    if wanted.freeze is None:
        return
    try:
        freeze(network, wanted.freeze)
    except ValueError as error:
        raise D2FError.of("D2F606", f"start.freeze: {error}") from error


def _differences(work: Work, network: Any, held: WeightsFile, wanted: Start) -> list[str]:
    """Say where a network is not the one that its starting weights were made with, though their arrays fit."""
    if wanted.publisher != "d2f":
        # Networks of d2f.models have the attribute; others do with pixels as they please.
        bare = getattr(network, "normalise", "unknown") is None
        said = (
            f"{wanted.publisher}'s weights were made with normalised pixels: see `normalise` in docs/reference/recipes"
        )
        return [said] if bare else []
    if held.metadata.get("trainable") != work.recipe.train:
        return []
    kind = type(work.trainable)
    now = read_options("trainable", kind, work.recipe.with_).model_dump(mode="json")
    try:
        before = read_options("trainable", kind, json.loads(held.metadata["options"])).model_dump(mode="json")
    except D2FError:
        # Of an older version of the trainable; the arrays fit nevertheless.
        return []
    changed = [f"{key}: {json.dumps(before[key])}" for key in now if before[key] != now[key]]
    return [f"'{wanted.weights}' was made with other options: {', '.join(changed)}"] if changed else []


def make_loop(work: Work, started: Started, most: int, training: TileSet, validation: TileSet) -> Loop:
    """Return the loop of a run, fresh or where its last checkpoint stood."""
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
    """Return the most tiles that may go through the network at once, by a dry step where a recipe bounds memory."""
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


def end(work: Work, loop: Loop, divided: Parts, facts: dict[str, str]) -> TrainedNetwork:
    """Measure the best epoch once more, and under attacks; write what a run leaves."""
    folder, output = work.folder, work.request.output
    loop.processes.wait()
    load_arrays(loop.network, dict(read_weights(folder.path / BEST).arrays), BEST)
    figures = measure_all(work.recipe, work.catalog, loop, divided, folder, work.request.workers)
    sha256 = _write(work, loop, facts, figures) if loop.processes.rank == 0 else ""
    return TrainedNetwork(output, sha256, figures, folder.path)


def _write(work: Work, loop: Loop, facts: dict[str, str], figures: dict[str, Measured]) -> str:
    folder, output = work.folder, work.request.output
    best = loop.position.best_epoch + 1
    told = {name: one.row() for name, one in figures.items()}
    metadata = {**facts, "epoch": str(best), "measured": json.dumps(told, sort_keys=True)}
    arrays = arrays_of(loop.network)
    sha256 = write_weights(output, arrays, metadata, _trained_on(loop))
    folder.write_npz(output.with_suffix(".npz"), arrays)
    if not read_log(loop.log.path, "end"):
        loop.log.write("end", best_epoch=best, measured=told, weights=output.name, sha256=sha256)
    for line in write_report(folder.path, work.recipe, metadata, figures, loop.validation.dataset):
        loop.watcher.say(line)
    return sha256


def _trained_on(loop: Loop) -> NDArray[np.uint64]:
    """Return what the weights were trained on, by this run and by those that it started from."""
    digests = short_digests(loop.training.digests)
    return digests if loop.trained_before is None else np.union1d(digests, loop.trained_before)


def train_network(recipe: NetworkRecipe, catalog: Catalog, request: Request, watcher: Watcher) -> TrainedNetwork:
    """Train the network that a recipe asks for, and leave its weights and a run folder."""
    if request.output.suffix != ".safetensors":
        raise D2FError.of("D2F004", f"weights are written as .safetensors, not as '{request.output.name}'")
    work = _work(recipe, catalog, request, watcher)
    outputs = request.output, request.output.with_suffix(".npz")
    work.folder.claim(recipe, request.resume, outputs, request.overwrite)
    divided = parts(recipe, request.data, request.fold, work.watcher.say)
    # Before the images are decoded, which may take long: what is wrong with the network is told at once.
    most, started = most_at_once(work), start(work)
    with cut_parts(work, divided) as material:
        known = facts(recipe, material.training, divided, started.sha256)
        work.folder.describe(recipe, known | material.measured, request.resume)
        loop = make_loop(work, started, most, material.training, material.validation)
        if not request.resume or loop.position.log == 0:
            loop.log.write("start", **known, **sizes(loop))
        loop.run()
        return end(work, loop, divided, known)


def _work(recipe: NetworkRecipe, catalog: Catalog, request: Request, watcher: Watcher) -> Work:
    processes = Processes.found()
    trainable = _network_trainable(recipe, catalog)
    if processes.count > 1 and processes.rank == 0:
        watcher.say(f"{processes.count} processes train together, each on its share of every update")
    return Work(
        recipe=recipe,
        trainable=trainable,
        catalog=catalog,
        request=request,
        folder=RunFolder(request.output.with_suffix(".run"), processes.rank),
        processes=processes,
        watcher=watcher if processes.rank == 0 else Silent(),
    )


def _network_trainable(recipe: NetworkRecipe, catalog: Catalog) -> Any:
    trainable = build(catalog, "trainable", recipe.train, recipe.with_)
    if not callable(getattr(trainable, "build", None)):
        raise D2FError.of("D2F607", f"trainable '{recipe.train}' is no network: it has no `build`")
    return trainable
