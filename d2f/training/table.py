"""The table of features: every copy of every image, made in worker processes, in the images' order."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from d2f.api.arrays import Floats
from d2f.api.errors import D2FError
from d2f.data.dataset import Dataset
from d2f.features import keeping
from d2f.plugins.build import build
from d2f.plugins.catalog import Catalog
from d2f.reading.image import read_image
from d2f.training.balance import with_any
from d2f.training.copies import CopyMaker
from d2f.training.recipe import Recipe

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Table:
    """Features of a set's copies; a copy that the trainable has no features for is a row of NaN.

    Parameters
    ----------
    digests : tuple of str
        sha256 of each image file.
    training : numpy.ndarray, shape (images, copies, d), float64
    measuring : numpy.ndarray, shape (images, 1 + attacks, d), float64
    """

    digests: tuple[str, ...]
    training: Floats
    measuring: Floats

    def repeated(self, measured: int) -> Table:
        """Return the table whose training copies are these and, so many times, the measuring copies."""
        training = np.concatenate([self.training, *[self.measuring] * measured], axis=1)
        return replace(self, training=training)


class ImageFeatures(NamedTuple):
    """One image's rows of the table."""

    sha256: str
    training: list[Floats | None]
    measuring: list[Floats | None]


class FeatureMaker:
    """An image's path to its rows; made once in each process."""

    def __init__(self, recipe: Recipe, catalog: Catalog) -> None:
        self.trainable = build(catalog, "trainable", recipe.train, recipe.with_)
        self.recipe, self.copies = recipe, CopyMaker.of(recipe, catalog)

    def __call__(self, path: str, measured_only: bool) -> ImageFeatures:
        image = read_image(path)
        copies = self.recipe.copies
        measuring = [self.trainable.features(pixels) for pixels in self.copies.measuring(image)]
        if measured_only:
            return ImageFeatures(image.sha256, [None] * (copies.fitting + copies.judging), measuring)
        training = [self.trainable.features(pixels) for pixels in self.copies.training(image)]
        return ImageFeatures(image.sha256, training, measuring)


def make_table(
    dataset: Dataset, recipe: Recipe, catalog: Catalog, workers: int, progress: Progress, kept: str | None = None
) -> Table:
    """Return the features of every copy of every image.

    `kept` names a file for `d2f.features.keeping`: a run that was killed finds there what a tower has made of pictures.

    Raises
    ------
    D2FError
        Where an image cannot be read, or no copy at all has features (D2F603).
    """
    rows: list[ImageFeatures] = []
    with keeping(kept):
        for row in _rows(dataset, recipe, catalog, workers, kept):
            rows.append(row)
            progress(len(rows), len(dataset))
    width = _width(rows)
    training, measuring = ([getattr(row, kind) for row in rows] for kind in ("training", "measuring"))
    return Table(tuple(row.sha256 for row in rows), _stacked(training, width), _stacked(measuring, width))


def _width(rows: list[ImageFeatures]) -> int:
    for row in rows:
        for features in (*row.training, *row.measuring):
            if features is not None:
                return len(features)
    raise D2FError.of("D2F603", "the model has features of none of the images")


def _stacked(rows: list[list[Floats | None]], width: int) -> NDArray[np.float64]:
    absent = np.full(width, np.nan)
    return np.array([[absent if features is None else features for features in row] for row in rows]).reshape(
        len(rows), -1, width
    )


def _rows(
    dataset: Dataset, recipe: Recipe, catalog: Catalog, workers: int, kept: str | None
) -> Iterator[ImageFeatures]:
    paths = [image.path for image in dataset]
    spared = with_any(dataset, recipe.copies.measured_only).tolist()
    if workers <= 1:
        yield from map(FeatureMaker(recipe, catalog), paths, spared)
        return
    # Spawned, not forked: a fork would copy the locks of threads that libraries have started.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start, (recipe.model_dump_json(by_alias=True), kept)) as pool:
        yield from pool.map(_make, paths, spared, chunksize=4)


_maker: FeatureMaker | None = None
_open = ExitStack()


def _start(recipe: str, kept: str | None) -> None:
    global _maker
    # A worker whose parent is killed would wait for its next image for ever.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # For as long as the process lives.
    _open.enter_context(keeping(kept))
    _maker = FeatureMaker(Recipe.model_validate_json(recipe), Catalog.discover())


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _make(path: str, measured_only: bool) -> ImageFeatures:
    assert _maker is not None
    return _maker(path, measured_only)
