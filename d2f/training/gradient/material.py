"""The tiles that a run trains on and those that it validates on, and what a weights file says of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np

from d2f.api.errors import D2FError
from d2f.data.dataset import Dataset
from d2f.data.digest import digest_of, file_sha256
from d2f.training.gradient.copies import TileCutter
from d2f.training.gradient.drawing import label_counts
from d2f.training.gradient.parts import Parts, need_apart, need_both
from d2f.training.gradient.recipe import NetworkRecipe
from d2f.training.gradient.request import Work
from d2f.training.gradient.tile_set import TileSet, make_tiles
from d2f.training.run import recipe_digest
from d2f.version import __version__


@contextmanager
def cut_parts(work: Work, divided: Parts) -> Iterator[tuple[TileSet, TileSet]]:
    """Yield the tiles that train and those that validate, some of both labels and of different files; let go of them.

    Raises
    ------
    D2FError
        D2F004 where tiles cannot be kept; D2F604 for a file that stands in two parts; D2F620 for broken images; D2F621
        where a label has no tile.
    """
    with ExitStack() as held:
        training = _cut(work, divided.training, "training", held)
        validation = _cut(work, divided.validation, "validation", held)
        need_apart(training.digests, validation.digests)
        if divided.test is not None:
            _need_unseen(divided.test, {*training.digests, *validation.digests})
        drawn = label_counts(training.labels, work.recipe.balance)
        work.watcher.say(f"each epoch draws {drawn[0]} real and {drawn[1]} generated tiles")
        yield training, validation


def _cut(work: Work, dataset: Dataset, name: str, held: ExitStack) -> TileSet:
    say, cutter = work.watcher.say, TileCutter(work.recipe, name == "training")
    say(f"{name}: {dataset.describe()}")
    tiles = make_tiles(dataset, cutter, work.folder.tile_file(name), work.request.workers, work.watcher.images)
    held.callback(tiles.cache.close)
    without = f"; {tiles.without} images have none: smaller than {cutter.side} pixels, or flat" if tiles.without else ""
    counts = np.bincount(tiles.labels, minlength=2)
    say(f"{name} tiles: {counts[0]} real, {counts[1]} generated{without}")
    need_both(counts, f"{name} tiles", (f"tiles are of {cutter.side} pixels: see `tiles` in the recipe",))
    return tiles


def _need_unseen(test: Dataset, seen: set[str]) -> None:
    """Refuse test images that training has seen, now and not when it is over."""
    shared = sum(_digest(image.path) in seen for image in test)
    if shared:
        message = f"{shared} of the images of data.test train or validate"
        raise D2FError.of("D2F604", message, "measure on images that neither the weights nor the best epoch know")


def _digest(path: str) -> str:
    try:
        return file_sha256(path)
    except OSError:
        # Told as every broken image is, when it is measured.
        return ""


def facts(recipe: NetworkRecipe, training: TileSet, divided: Parts, start: str) -> dict[str, str]:
    """Return what a weights file says of itself.

    Parameters
    ----------
    recipe : NetworkRecipe
    training : TileSet
    divided : Parts
    start : str
        Digest of the weights that training starts from; empty without any.
    """
    labels = training.dataset.labels.tolist()
    known = {
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
    return known | {"start": start} if start else known
