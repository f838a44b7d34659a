"""The tiles that a run trains on, validates on and is measured on, and what a weights file says of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np

from d2f.data.dataset import Dataset
from d2f.data.groups import digest_of
from d2f.train.estimator import recipe_digest
from d2f.train.feeding import label_counts
from d2f.train.network_recipe import NetworkRecipe
from d2f.train.similar import look_alike, need_apart, shared_names
from d2f.train.tiles import TileCutter, TileSet, make_tiles
from d2f.train.work import Parts, Work, need_both
from d2f.version import __version__


@dataclass(frozen=True)
class Material:
    """What a run trains on, validates on and is measured on at the end."""

    training: TileSet
    validation: TileSet
    test: TileSet | None = None

    @property
    def measured(self) -> dict[str, str]:
        """Digests of the images that validate and of those that are measured at the end."""
        return {"validation": _digest(self.validation)} | ({} if self.test is None else {"test": _digest(self.test)})


@contextmanager
def cut_parts(work: Work, divided: Parts) -> Iterator[Material]:
    """Yield the tiles of a run, some of both labels in each part and of different files; let go of them."""
    for problem in shared_names(divided.training, divided.validation, divided.test):
        work.watcher.say(str(problem))
    with ExitStack() as held:
        training = _cut(work, divided.training, "training", held)
        validation = _cut(work, divided.validation, "validation", held)
        need_apart(training, validation)
        # Now, and not when training is over: a broken image, or one that was trained on, would cost the run.
        test = None if divided.test is None else _cut(work, divided.test, "test", held)
        need_apart(training, validation, test)
        for problem in look_alike(training, validation, test):
            work.watcher.say(str(problem))
        drawn = label_counts(training.labels, work.recipe.balance)
        work.watcher.say(f"each epoch draws {drawn[0]} real and {drawn[1]} generated tiles")
        yield Material(training, validation, test)


def _cut(work: Work, dataset: Dataset, name: str, held: ExitStack) -> TileSet:
    say, cutter = work.watcher.say, TileCutter(work.recipe, name == "training")
    say(f"{name}: {dataset.describe()}")
    file, keep = work.folder.tile_file(name), name != "test"
    tiles = make_tiles(dataset, cutter, file, work.request.workers, work.watcher.images, keep)
    held.callback(tiles.cache.close)
    without = f"; {tiles.without} images have none: smaller than {cutter.side} pixels, or flat" if tiles.without else ""
    counts = np.bincount(tiles.labels, minlength=2)
    say(f"{name} tiles: {counts[0]} real, {counts[1]} generated{without}")
    need_both(counts, f"{name} tiles", (f"tiles are of {cutter.side} pixels: see `tiles` in the recipe",))
    return tiles


def _digest(tiles: TileSet) -> str:
    return digest_of(zip(tiles.digests, tiles.dataset.labels.tolist(), strict=True))


def facts(recipe: NetworkRecipe, training: TileSet, divided: Parts, start: str) -> dict[str, str]:
    """Return what a weights file says of itself."""
    known = {
        "d2f": __version__,
        "trainable": recipe.train,
        "options": json.dumps(recipe.with_, sort_keys=True),
        "recipe": recipe_digest(recipe),
        "data": _digest(training),
        "part": recipe.data.part,
        "images": str(len(divided.training)),
        "collections": str(len(divided.training.collections)),
        "tile": str(recipe.tiles.size),
        "seed": str(recipe.seed),
    }
    return known | {"start": start} if start else known
