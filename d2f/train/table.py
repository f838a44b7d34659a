"""The table of features that an estimator is fitted to: every variant of every image, cached by a complete key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError
from d2f.api.inputs import Floats, ImageFile, Pixels
from d2f.cache import Cache, caching, key_of, pipeline_code
from d2f.cores import thread_variables, usable_cores
from d2f.data.dataset import Dataset
from d2f.data.groups import digest_of
from d2f.data.protocol import drawn_copies, for_judging
from d2f.engine.plan import Step
from d2f.engine.views import apply_steps
from d2f.engine.worker import WorkerFailure, WorkerPool
from d2f.files import file_sha256
from d2f.images.read import read_image
from d2f.plugins.build import build
from d2f.plugins.catalog import Catalog
from d2f.train.augment import loaded_steps
from d2f.train.images import having_any
from d2f.train.recipe import EstimatorRecipe

if TYPE_CHECKING:
    from d2f.train.run import Run

ImageCount = Callable[[int, int], None]


@dataclass(frozen=True)
class FeatureTable:
    """Features of a set's variants; a variant that the trainable has no features for is a row of NaN."""

    digests: tuple[str, ...]
    training: Floats  # (images, variants, d), float64
    measuring: Floats  # (images, 1 + attacks, d), float64

    def repeated(self, measured: int) -> FeatureTable:
        """Return the table whose training variants are these and, so many times, the measuring ones."""
        training = np.concatenate([self.training, *[self.measuring] * measured], axis=1)
        return replace(self, training=training)


class VariantMaker:
    """Makes the variants that a recipe describes, the same ones for the same file whatever else is requested.

    The stages are built, loaded and seeded as the bench does.
    """

    def __init__(self, recipe: EstimatorRecipe, catalog: Catalog) -> None:
        self.recipe, self.judged = recipe, for_judging(recipe.copies.protocol)
        self.augmentations = [
            loaded_steps(entry.steps, catalog, f"augment[{i}].steps") if entry.steps else ()
            for i, entry in enumerate(recipe.augment)
        ]
        self.attacks = [loaded_steps(spec, catalog, f"measure[{i}]") for i, spec in enumerate(recipe.measure)]

    @property
    def steps(self) -> list[Step]:
        """All steps that a table depends on."""
        return [step for steps in (*self.augmentations, *self.attacks) for step in steps]

    def training(self, image: ImageFile) -> list[Pixels]:
        """Return the variants that the model is fitted to: those at random first, then the judging ones."""
        copies = self.recipe.copies
        seeds = [self.recipe.seed * 1000 + number for number in range(copies.fitting)]
        windows, qualities = (copies.windows[0], copies.windows[1]), (copies.qualities[0], copies.qualities[1])
        made = drawn_copies(copies.protocol, image, seeds, windows, qualities, copies.scale)
        made += [self.judged(image).pixels] * copies.judging
        return [self._augmented(pixels, image, number) for number, pixels in enumerate(made)]

    def measuring(self, image: ImageFile) -> list[Pixels]:
        """Return the clean variant, as it is judged, and the same under each attack."""
        clean = self.judged(image)
        return [clean.pixels, *(apply_steps(clean, steps) for steps in self.attacks)]

    def _augmented(self, pixels: Pixels, image: ImageFile, number: int) -> Pixels:
        if not self.augmentations:
            return pixels
        random = np.random.default_rng((self.recipe.seed, image.seed, number))
        shares = np.array([entry.share for entry in self.recipe.augment])
        chosen = int(random.choice(len(shares), p=shares / shares.sum()))
        for step in self.augmentations[chosen]:
            pixels = step.stage.apply(pixels, int(random.integers(2**63)))
        return pixels


class ImageFeatures(NamedTuple):
    """One image's rows of the table."""

    sha256: str
    training: list[Floats | None]
    measuring: list[Floats | None]


class FeatureMaker:
    """An image's path to its rows; made once in each process."""

    def __init__(self, recipe: EstimatorRecipe, catalog: Catalog) -> None:
        self.trainable = build(catalog, "trainable", recipe.train, recipe.with_)
        self.recipe, self.variants = recipe, VariantMaker(recipe, catalog)

    def __call__(self, path: str, measured_only: bool) -> ImageFeatures:
        image = read_image(path)
        copies = self.recipe.copies
        measuring = [self.trainable.features(pixels) for pixels in self.variants.measuring(image)]
        if measured_only:
            return ImageFeatures(image.sha256, [None] * (copies.fitting + copies.judging), measuring)
        training = [self.trainable.features(pixels) for pixels in self.variants.training(image)]
        return ImageFeatures(image.sha256, training, measuring)


def feature_table(run: Run, dataset: Dataset) -> FeatureTable:
    """Return the table of a run, from its cache where that has it."""
    recipe, catalog, workers, folder = run.recipe, run.catalog, run.request.workers, run.request.cache
    progress = partial(run.watcher.images, "features")
    maker = FeatureMaker(recipe, catalog)
    if folder is None:
        return make_table(dataset, maker, catalog, workers, progress)
    digests = tuple(file_sha256(image.path) for image in dataset)
    with caching(folder) as cache:
        assert cache is not None
        key = table_key(maker, dataset, digests)
        table = cached_table(cache, key, digests)
        if table is None:
            table = make_table(dataset, maker, catalog, workers, progress, folder)
            if wrong := cache_table(cache, key, table):
                run.watcher.say(wrong)
    return table


def make_table(
    dataset: Dataset,
    maker: FeatureMaker,
    catalog: Catalog,
    workers: int,
    progress: ImageCount,
    cache: Path | None = None,
) -> FeatureTable:
    """Return the features of every variant of every image.

    `cache` names a folder for `d2f.cache.caching`, in which a run that was killed finds what a tower made of pictures.
    """
    rows: list[ImageFeatures] = []
    for row in _rows(dataset, maker, catalog, workers, cache):
        rows.append(row)
        progress(len(rows), len(dataset))
    width = _width(rows)
    training, measuring = ([getattr(row, kind) for row in rows] for kind in ("training", "measuring"))
    return FeatureTable(tuple(row.sha256 for row in rows), _stacked(training, width), _stacked(measuring, width))


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
    dataset: Dataset, maker: FeatureMaker, catalog: Catalog, workers: int, cache: Path | None
) -> Iterator[ImageFeatures]:
    paths = [image.path for image in dataset]
    spared = having_any(dataset, maker.recipe.copies.measured_only).tolist()
    if workers <= 1:
        yield from map(maker, paths, spared)
        return
    given = (maker.recipe.model_dump_json(by_alias=True), cache)
    environment = thread_variables(max(1, usable_cores() // workers))
    with WorkerPool(workers, "d2f.train.table:feature_maker", given, environment=environment) as pool:
        for features in pool.map(zip(paths, spared, strict=True)):
            if isinstance(features, WorkerFailure):
                raise features
            yield features


def feature_maker(given: tuple[str, Path | None]) -> Callable[[tuple[str, bool]], ImageFeatures]:
    """Return what answers requests in a worker process: an image's path, and whether it is measured only."""
    recipe, cache = given
    # For as long as the process lives.
    _open.enter_context(caching(cache))
    maker = FeatureMaker(EstimatorRecipe.model_validate_json(recipe), Catalog.discover())
    return lambda request: maker(*request)


_open = ExitStack()


ONLY_FITTING: Any = {"balance": True, "emphasis": True, "folds": True, "copies": {"measured"}, "data": True}
"""Keys of a recipe that the table does not depend on, as pydantic's `exclude` takes them."""


def table_key(maker: FeatureMaker, dataset: Dataset, digests: Sequence[str]) -> bytes | None:
    """Return a key of everything that the table is made of; None where something has no code to name it by.

    In it are the recipe, the trainable with its weights, the stages of `augment` and `measure`, the code of them all,
    d2f's version and its own code that decodes and standardises, and the images, in any order. `digests` are the
    sha256 of the set's files. Which images are fitted to as measured only is the manifest's to say: the recipe and
    the images alone do not tell.
    """
    recipe = maker.recipe.model_dump(mode="json", by_alias=True, exclude=ONLY_FITTING)
    pairs = list(zip(digests, dataset.labels.tolist(), strict=True))
    spared = np.flatnonzero(having_any(dataset, maker.recipe.copies.measured_only))
    weights = [record.sha256 for record in getattr(maker.trainable, "weights", ())]
    stages = [step.stage for step in maker.variants.steps]
    facts = [recipe, weights, [step.key for step in maker.variants.steps], pipeline_code()]
    facts += [digest_of(pairs), digest_of(pairs[number] for number in spared)]
    return key_of("features of variants", *facts, code=(maker.trainable, *stages))


def cached_table(cache: Cache, key: bytes | None, digests: Sequence[str]) -> FeatureTable | None:
    """Return a cached table in the order of a set's digests, which the key does not know; None without one."""
    held = None if key is None else cache.arrays(key)
    if held is None:
        return None
    rows = {digest: row for row, digest in enumerate(held["digests"].tolist())}
    order = [rows[digest] for digest in digests]
    return FeatureTable(tuple(digests), held["training"][order], held["measuring"][order])


def cache_table(cache: Cache, key: bytes | None, table: FeatureTable) -> str:
    """Store a table and return what went wrong, empty if nothing: a cache only saves time."""
    if key is None:
        return "the features are not cached: a stage has no file of code that could be part of their key"
    arrays = {"digests": np.array(table.digests), "training": table.training, "measuring": table.measuring}
    try:
        cache.store_arrays(key, arrays)
    except D2FError as error:
        return f"the features are not cached: {error.problems[0].message}"
    return ""
