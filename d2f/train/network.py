"""The network fitter: weights to start from, tiles, the loop, and the best epoch's figures under every attack."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError, Problem
from d2f.data.dataset import Dataset
from d2f.data.groups import digest_of, near_pairs
from d2f.engine.plan import Step
from d2f.models import arrays_of, freeze, from_published, load_arrays
from d2f.plugins.build import read_options
from d2f.train.augment import loaded_steps
from d2f.train.folder import run_facts
from d2f.train.images import (
    NEXT_STEP,
    SHOWN,
    DividedSet,
    divide,
    overlap_warning,
    require_labels,
    shared_names,
    unknown_parts,
    use_of,
)
from d2f.train.loop import Trainer
from d2f.train.recipe import StartSettings
from d2f.train.report import ValidationFigures
from d2f.train.run import FittedModel, Run
from d2f.train.stepping import Processes, check_head, fitting_batch
from d2f.train.tiles import TileCutter, TileSet, label_counts, make_tiles
from d2f.weights import WeightsFile, read_weights, resolve, short_digests


def fit_network(processes: Processes, run: Run) -> FittedModel:
    """Fit a trainable with `build`: cut tiles, train and measure."""
    recipe = run.recipe
    divided = divide(recipe, run.request.data, run.request.fold, run.watcher.say)
    # Before the images are decoded, which takes long: what is wrong with a stage or the network is known at once.
    attacks = {spec: loaded_steps(spec, run.catalog, f"measure[{i}]") for i, spec in enumerate(recipe.measure)}
    at_once, (network, start_weights) = _most_at_once(run), start(run)
    with ExitStack() as held:
        training, validation, digests = _cut_parts(run, divided, held)
        facts = run_facts(recipe, divided.training, training.digests) | {"tile": str(recipe.tiles.size)}
        if start_weights is not None:
            facts["start"] = start_weights.sha256
        run.folder.describe(recipe, facts | digests, run.request.resume)
        trainer = Trainer(run, network, training, validation, processes, at_once)
        if not run.request.resume or trainer.position.log == 0:
            trainer.log.write("start", **facts, **trainer.sizes())
        trainer.train()
        figures = {"clean": trainer.measure(validation)}
        further = [(spec, divided.validation, steps) for spec, steps in attacks.items()]
        further += [] if divided.test is None else [("test", divided.test, ())]
        for name, dataset, steps in further:
            if (found := _measured_under(run, trainer, name, dataset, steps)) is not None:
                figures[name] = found
    facts["epoch"] = str(trainer.position.best_epoch + 1)
    trained_on = short_digests(training.digests)
    if start_weights is not None and start_weights.trained_on is not None:
        trained_on = np.union1d(trained_on, start_weights.trained_on)
    return FittedModel(arrays_of(trainer.network), facts, trained_on, figures, divided.validation, trainer.log)


def start(run: Run) -> tuple[Any, WeightsFile | None]:
    """Return a recipe's network, drawn from its seed or loaded, and the weights file that it was loaded from."""
    recipe, held = run.recipe, None
    mx.random.seed(recipe.seed)
    network = run.trainable.build()
    if recipe.start is not None:
        held = read_weights(resolve(recipe.start.weights, run.catalog.weights))
        _load_start(network, held, recipe.start)
        for line in _differences(run, network, held, recipe.start):
            run.watcher.say(line)
    network.eval()
    side = recipe.tiles.size
    check_head(network(mx.zeros((1, side, side, 3))), recipe.loss)
    return network, held


def _load_start(network: Any, held: WeightsFile, settings: StartSettings) -> None:
    arrays: dict[str, Any] = held.arrays
    if settings.publisher != "d2f":
        arrays = from_published(arrays, settings.publisher, drop_head=True).arrays
    load_arrays(network, arrays, settings.weights, new_head=True)
    if settings.freeze is None:
        return
    try:
        freeze(network, settings.freeze)
    except ValueError as error:
        raise D2FError.of("D2F606", f"start.freeze: {error}") from error


def _differences(run: Run, network: Any, held: WeightsFile, settings: StartSettings) -> list[str]:
    """Return where a network is not the one that its starting weights were made with, though their arrays fit."""
    if settings.publisher != "d2f":
        # Networks of d2f.models have the attribute; others do with pixels as they please.
        bare = getattr(network, "normalise", "unknown") is None
        page = "see `normalise` in docs/reference/recipes"
        return [f"{settings.publisher}'s weights were made with normalised pixels: {page}"] if bare else []
    if held.metadata.get("trainable") != run.recipe.train:
        return []
    kind = type(run.trainable)
    now = read_options("trainable", kind, run.recipe.with_).model_dump(mode="json")
    try:
        before = read_options("trainable", kind, json.loads(held.metadata["options"])).model_dump(mode="json")
    except D2FError:
        # Of an older version of the trainable; the arrays fit nevertheless.
        return []
    changed = [f"{key}: {json.dumps(before[key])}" for key in now if before[key] != now[key]]
    return [f"'{settings.weights}' was made with other options: {', '.join(changed)}"] if changed else []


def _most_at_once(run: Run) -> int:
    """Return the most tiles that may go through the network at once, by a dry step where a recipe bounds memory."""
    recipe = run.recipe
    if recipe.memory_bytes is None:
        return int(recipe.batch)
    most = fitting_batch(run.trainable, recipe, recipe.memory_bytes)
    run.watcher.say(f"{most} tiles at a time fit {recipe.memory}")
    return most


def _cut_parts(run: Run, divided: DividedSet, held: ExitStack) -> tuple[TileSet, TileSet, dict[str, str]]:
    """Return the tiles that train and validate, and digests of what validates and tests; `held` drops the tiles.

    Some tiles of both labels are in each part, and no file is in two.
    """
    for problem in shared_names(divided.training, divided.validation, divided.test):
        run.watcher.say(str(problem))
    training = _cut(run, divided.training, "training", held)
    validation = _cut(run, divided.validation, "validation", held)
    require_separate_files(training, validation)
    # Now, and not when training is over: a broken image, or one that was trained on, would cost the run.
    test = None if divided.test is None else _cut(run, divided.test, "test", held)
    require_separate_files(training, validation, test)
    for problem in look_alike(training, validation, test):
        run.watcher.say(str(problem))
    drawn = label_counts(training.labels, run.recipe.balance)
    run.watcher.say(f"each epoch draws {drawn[0]} real and {drawn[1]} generated tiles")
    digests = {"validation": _tiles_digest(validation)} | ({} if test is None else {"test": _tiles_digest(test)})
    return training, validation, digests


def _cut(run: Run, dataset: Dataset, name: str, held: ExitStack) -> TileSet:
    say, cutter = run.watcher.say, TileCutter(run.recipe, name == "training")
    say(f"{name}: {dataset.describe()}")
    tiles = _tiles(run, dataset, cutter, name, keep=name != "test")
    held.callback(tiles.cache.close)
    none = len(dataset) - len(np.unique(tiles.image))
    without = f"; {none} images have none: smaller than {cutter.side} pixels, or flat" if none else ""
    counts = np.bincount(tiles.labels, minlength=2)
    say(f"{name} tiles: {counts[0]} real, {counts[1]} generated{without}")
    require_labels(tiles.labels, f"{name} tiles", f"tiles are of {cutter.side} pixels: see `tiles` in the recipe")
    return tiles


def _tiles(run: Run, dataset: Dataset, cutter: TileCutter, name: str, keep: bool = True) -> TileSet:
    # Each process keeps the tiles that memory has no room for in a file of its own.
    file = run.folder.path / f"{name}-{run.folder.rank}.tiles"
    return make_tiles(dataset, cutter, file, run.request.workers, partial(run.watcher.images, "tiles"), keep)


def _tiles_digest(tiles: TileSet) -> str:
    return digest_of(zip(tiles.digests, tiles.dataset.labels.tolist(), strict=True))


def _measured_under(
    run: Run, trainer: Trainer, name: str, dataset: Dataset, steps: Sequence[Step]
) -> ValidationFigures | None:
    """Return the figures under an attack; None, with a note, where it leaves a label no tile."""
    run.watcher.say(f"measures {name}")
    cutter = TileCutter(run.recipe, False, tuple(steps))
    tiles = _tiles(run, dataset, cutter, "measured")
    try:
        if set(tiles.labels.tolist()) == {0, 1}:
            return trainer.measure(tiles)
        run.watcher.say(f"{name} is left out: a label has no tile of {cutter.side} pixels")
        return None
    finally:
        tiles.cache.close()


def require_separate_files(training: TileSet, validation: TileSet, test: TileSet | None = None) -> None:
    """Refuse files, by digest, that are in two parts."""
    for what, said, part, others in unknown_parts(training, validation, test):
        seen = {digest for other in others for digest in other.digests}
        shared = sum(digest in seen for digest in part.digests)
        if shared:
            raise D2FError.of("D2F604", f"{shared} of the {what} {said}", NEXT_STEP)


def look_alike(training: TileSet, validation: TileSet, test: TileSet | None = None) -> Iterator[Problem]:
    """Yield a warning for each part with pictures whose perceptual hash is near that of a picture in another part."""
    for what, _, part, others in unknown_parts(training, validation, test):
        pairs = [pair for other in others for pair in _near_images(part, other)]
        if pairs:
            images = len({path for path, _ in pairs})
            shown = tuple(f"{path}  {other}" for path, other in pairs[:SHOWN])
            yield overlap_warning(
                f"{images} of the {what} look like images that {use_of(others)}",
                *shown,
                "if they are one picture, figures are optimistic: `d2f data audit` finds and joins them",
            )


def _near_images(part: TileSet, other: TileSet) -> list[tuple[str, str]]:
    """Return pairs of paths whose pictures look alike; of pictures of one hash the first stands for all."""
    (mine, places), (theirs, other_places) = _distinct_hashes(part.hashes), _distinct_hashes(other.hashes)
    pairs = near_pairs(np.concatenate([mine, theirs]))
    across = pairs[(pairs[:, 0] < len(mine)) & (pairs[:, 1] >= len(mine))]
    return [(part.dataset[places[i]].path, other.dataset[other_places[j - len(mine)]].path) for i, j in across.tolist()]


def _distinct_hashes(hashes: Sequence[int | None]) -> tuple[NDArray[np.uint64], list[int]]:
    first: dict[int, int] = {}
    for place, value in enumerate(hashes):
        if value is not None:
            first.setdefault(value, place)
    return np.array(list(first), dtype=np.uint64), list(first.values())
