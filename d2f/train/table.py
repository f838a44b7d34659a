"""Weights of a cross-validation, kept in a folder: each file fitted without one fold."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError
from d2f.api.inputs import Floats, ImageFile, Pixels
from d2f.data.dataset import Dataset
from d2f.data.groups import digest_of, file_sha256
from d2f.data.protocol import drawn_copies, for_judging
from d2f.features import keeping
from d2f.images.read import read_image
from d2f.plugins.build import build
from d2f.plugins.catalog import Catalog
from d2f.train.recipe import Recipe, StepUse, with_any, without_newer_keys
from d2f.weights import read_weights, short_digests, write_weights


@dataclass(frozen=True)
class CopyMaker:
    """Makes the copies that a recipe asks for, the same ones for the same file whatever else is asked."""

    recipe: Recipe
    augmentations: list[list[Any]]
    attacks: list[Any]

    @classmethod
    def of(cls, recipe: Recipe, catalog: Catalog) -> CopyMaker:
        """Build the stages that a recipe names."""
        augmentations = [_built(catalog, entry.steps) for entry in recipe.augment]
        return cls(recipe, augmentations, _built(catalog, recipe.measure))

    def training(self, image: ImageFile) -> list[Pixels]:
        """Return the copies that the model is fitted to: those at random first, then the judging ones."""
        copies = self.recipe.copies
        seeds = [self.recipe.seed * 1000 + number for number in range(copies.fitting)]
        windows, qualities = (copies.windows[0], copies.windows[1]), (copies.qualities[0], copies.qualities[1])
        made = drawn_copies(copies.protocol, image, seeds, windows, qualities, copies.scale)
        made += [self._judged(image)] * copies.judging
        return [self._augmented(pixels, image, number) for number, pixels in enumerate(made)]

    def measuring(self, image: ImageFile) -> list[Pixels]:
        """Return the clean judging copy and the same under each attack."""
        clean = self._judged(image)
        return [clean, *(attack.apply(clean, image.seed) for attack in self.attacks)]

    def _judged(self, image: ImageFile) -> Pixels:
        return for_judging(self.recipe.copies.protocol)(image).pixels

    def _augmented(self, pixels: Pixels, image: ImageFile, number: int) -> Pixels:
        if not self.augmentations:
            return pixels
        random = np.random.default_rng((self.recipe.seed, image.seed, number))
        shares = np.array([entry.share for entry in self.recipe.augment])
        chosen = int(random.choice(len(shares), p=shares / shares.sum()))
        for stage in self.augmentations[chosen]:
            pixels = stage.apply(pixels, int(random.integers(2**63)))
        return pixels


def measured_names(recipe: Recipe) -> list[str]:
    """Return what `CopyMaker.measuring`'s copies are called in figures: ``clean``, ``wiener window=7``, …"""
    return ["clean", *(_spelled(step) for step in recipe.measure)]


def _spelled(step: StepUse) -> str:
    return " ".join([step.use, *(f"{key}={value}" for key, value in step.with_.items())])


def _built(catalog: Catalog, steps: Sequence[StepUse]) -> list[Any]:
    return [build(catalog, "preprocessor", step.use, step.with_) for step in steps]


Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Table:
    """Features of a set's copies; a copy that the trainable has no features for is a row of NaN."""

    digests: tuple[str, ...]
    training: Floats  # (images, copies, d), float64
    measuring: Floats  # (images, 1 + attacks, d), float64

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


ONLY_FITTING: Any = {"balance": True, "emphasis": True, "folds": True, "copies": {"measured"}}
"""Keys of a recipe that the table does not depend on, as pydantic's `exclude` takes them."""


def file_digests(dataset: Dataset) -> tuple[str, ...]:
    """Return the sha256 of each image's file, in the set's order; each file is read once."""
    return tuple(file_sha256(image.path) for image in dataset)


def table_key(recipe: Recipe, trainable: Any, dataset: Dataset, digests: Sequence[str]) -> str:
    """Return a name that changes with everything that the table is made of, the features' own code included.

    `digests` are the set's `file_digests`. Which images are fitted to as measured only is the manifest's to say: the
    recipe and the images alone do not tell.
    """
    plain = recipe.model_dump(mode="json", by_alias=True, exclude=ONLY_FITTING)
    root = import_module(type(trainable).__module__.partition(".")[0])
    pairs = list(zip(digests, dataset.labels.tolist(), strict=True))
    parts = [json.dumps(without_newer_keys(plain), sort_keys=True), digest_of(pairs)]
    if measured_only := recipe.copies.measured_only:
        parts.append(digest_of(pairs[number] for number in np.flatnonzero(with_any(dataset, measured_only))))
    for folder in root.__path__ if hasattr(root, "__path__") else ():
        parts += [file.read_text(encoding="utf-8") for file in sorted(Path(folder).glob("*.py"))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def load_table(folder: Path, key: str, digests: Sequence[str]) -> Table | None:
    """Return the kept table in the order of a set's `file_digests`, which the key does not know; None without one."""
    path = folder / f"{key}.npz"
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as held:
        rows = {digest: row for row, digest in enumerate(held["digests"].tolist())}
        order = [rows[digest] for digest in digests]
        return Table(tuple(digests), held["training"][order], held["measuring"][order])


def keep_table(folder: Path, key: str, table: Table) -> str:
    """Keep a table, whole or not at all, and return what went wrong, empty if nothing: it only saves time."""
    part = folder / f"{key}.{os.getpid()}.part.npz"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(part, digests=np.array(table.digests), training=table.training, measuring=table.measuring)
        part.replace(folder / f"{key}.npz")
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        return f"the features are not kept in '{folder}': {error.strerror}"
    return ""


NAME = re.compile(r"fold-[1-9][0-9]*\.safetensors")
WITHOUT = "without_fold"
"""What such a file alone says of itself: the fold that it was fitted without, from 1."""


def fold_file(folder: Path, number: int) -> Path:
    """Return the file of the weights that were fitted without a fold, counted from 0."""
    return folder / f"fold-{number + 1}.safetensors"


def keep_fold(
    folder: Path, number: int, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, str], digests: Iterable[str]
) -> None:
    """Write the weights that were fitted without a fold."""
    more = {**facts, WITHOUT: str(number + 1)}
    write_weights(fold_file(folder, number), arrays, more, short_digests(digests))


def clear_folds(folder: Path) -> None:
    """Remove what an earlier run kept, which may have had more folds; other files stay."""
    for path in sorted(folder.iterdir()):
        if NAME.fullmatch(path.name) and _kept(path):
            try:
                path.unlink()
            except OSError as error:
                raise D2FError.of("D2F004", f"'{path}' cannot be removed: {error.strerror}") from error


def need_another(output: Path, folder: Path) -> None:
    """Refuse a weights file that stands where a fold's are kept."""
    if NAME.fullmatch(output.name) and output.parent.resolve() == folder.resolve():
        raise D2FError.of("D2F004", f"'{output}' is where the weights of a fold are kept", "name another file with -o")


def _kept(path: Path) -> bool:
    try:
        return WITHOUT in read_weights(path).metadata
    except (D2FError, OSError):
        return False
