"""`d2f train` for estimators: a recipe and images in, a weights file and its figures out."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError
from d2f.api.inputs import Floats, Labels
from d2f.data.dataset import Dataset, load_dataset
from d2f.data.groups import components, digest_of
from d2f.data.split import folds, shipped_split
from d2f.plugins.build import build
from d2f.plugins.catalog import Catalog
from d2f.train.figures import Figures, figures
from d2f.train.outputs import make_folder
from d2f.train.recipe import Recipe, image_weights, need_columns, with_any, without_newer_keys
from d2f.train.table import (
    Progress,
    Table,
    clear_folds,
    file_digests,
    keep_fold,
    keep_table,
    load_table,
    make_table,
    measured_names,
    need_another,
    table_key,
)
from d2f.version import __version__
from d2f.weights import short_digests, write_weights

if TYPE_CHECKING:
    from d2f.train.network_recipe import NetworkRecipe


def fit_rows(
    trainable: Any, features: Floats, labels: Labels, weights: Floats, seed: int
) -> Mapping[str, NDArray[Any]]:
    """Fit to copies (images, copies, d), each with its image's label and weight; rows of NaN are left out.

    BLAS is held to one thread, so that the same table gives the same arrays whatever the machine's load.
    """
    from threadpoolctl import threadpool_limits

    copies = features.shape[1]
    rows = features.reshape(-1, features.shape[2])
    there = ~np.isnan(rows).any(axis=1)
    with threadpool_limits(limits=1):
        fitted: Mapping[str, NDArray[Any]] = trainable.fit(
            rows[there], np.repeat(labels, copies)[there], np.repeat(weights, copies)[there], seed
        )
    return fitted


def out_of_fold(
    trainable: Any,
    table: Table,
    labels: Labels,
    weights: Floats,
    fold: NDArray[np.int64],
    seed: int,
    fitted: Callable[[int, Mapping[str, NDArray[Any]]], None],
) -> Floats:
    """Return the measuring copies' scores under models that saw nothing of their fold.

    `fitted` is told of each fold and of the arrays that were fitted without it.

    Returns shape (images, 1 + attacks), float64.
    """
    scores = np.full(table.measuring.shape[:2], np.nan)
    for number in np.unique(fold):
        held = fold == number
        arrays = fit_rows(trainable, table.training[~held], labels[~held], weights[~held], seed)
        scores[held] = predict(trainable, arrays, table.measuring[held])
        fitted(int(number), arrays)
    return scores


def predict(trainable: Any, arrays: Mapping[str, NDArray[Any]], features: Floats) -> Floats:
    """Return the scores of copies (images, copies, d), NaN where there are no features."""
    rows = features.reshape(-1, features.shape[2])
    there = ~np.isnan(rows).any(axis=1)
    scores = np.full(len(rows), np.nan)
    scores[there] = trainable.predict(arrays, rows[there])
    return scores.reshape(features.shape[:2])


class Journal:
    """A file of JSON lines; each has an ``event``. Holds no times, so that equal runs write equal files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._write("wb", b"")

    def write(self, event: str, **values: Any) -> None:
        """Add a line; numbers that are not finite become null."""
        self._write("ab", (json.dumps({"event": event, **plain(values)}, ensure_ascii=False) + "\n").encode())

    def _write(self, mode: str, data: bytes) -> None:
        # The file is closed within the `try`: what is buffered may find the disk full only then.
        try:
            with self.path.open(mode) as file:
                file.write(data)
        except OSError as error:
            raise D2FError.of("D2F004", f"'{self.path}' cannot be written: {error.strerror}") from error


def plain(value: Any) -> Any:
    """Return plain data for JSON: numbers rounded to six places, null where they are not finite."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of a run."""

    weights: Path
    sha256: str
    figures: tuple[Figures, ...]


@dataclass(frozen=True)
class Watcher:
    """What is told of a run as it goes on."""

    say: Callable[[str], None]
    progress: Progress


@dataclass(frozen=True)
class Work:
    """What a run is about: a recipe, the model that it asks for, and who watches."""

    recipe: Recipe
    catalog: Catalog
    trainable: Any
    watcher: Watcher


def train(
    recipe: Recipe,
    catalog: Catalog,
    output: Path,
    watcher: Watcher,
    data: str | None = None,
    workers: int = 1,
    cache: Path | None = None,
    keep_folds: Path | None = None,
) -> Trained:
    """Fit what a recipe asks for, measure it by cross-validation, and write the weights."""
    if output.suffix != ".safetensors":
        raise D2FError.of("D2F004", f"weights are written as .safetensors, not as '{output.name}'")
    if keep_folds is not None:
        need_another(output, keep_folds)
        make_folder(keep_folds)
    dataset = training_data(recipe, data, watcher.say)
    work = Work(recipe, catalog, _estimator(recipe, catalog), watcher)
    journal = Journal(output.with_suffix(".jsonl"))
    watcher.say(dataset.describe())
    if recipe.copies.measured_only:
        spared = int(with_any(dataset, recipe.copies.measured_only).sum())
        watcher.say(f"{spared} of {len(dataset)} images are fitted to as measured only (copies.measured_only)")
    table = _table(dataset, work, workers, cache).repeated(recipe.copies.measured)
    facts = _facts(recipe, dataset, table.digests)
    journal.write("data", **facts)
    weights = image_weights(dataset, recipe.balance, recipe.emphasis)
    measured = _cross_validated(dataset, work, table, weights, keep_folds)
    for each in measured:
        journal.write("cross-validation", **each.row())
    arrays = fit_rows(work.trainable, table.training, dataset.labels, weights, recipe.seed)
    sha256 = write_weights(output, arrays, facts, short_digests(table.digests))
    journal.write("weights", file=output.name, sha256=sha256)
    return Trained(output, sha256, measured)


def training_data(
    recipe: Recipe | NetworkRecipe, data: str | None, say: Callable[[str], None] | None = None
) -> Dataset:
    """Return the images that a recipe trains on; `say` hears how many others it leaves out."""
    folder = data or recipe.data.folder
    if folder is None:
        raise D2FError.of("D2F606", "the recipe names no data", "give a folder or manifest with --data")
    dataset = load_dataset(folder)
    need_columns(recipe, dataset)
    if recipe.data.part != "all":
        dataset = getattr(shipped_split(dataset), recipe.data.part)
    if not recipe.data.leave_out:
        return dataset
    kept = dataset.select(~with_any(dataset, recipe.data.leave_out))
    if not kept:
        raise D2FError.of("D2F606", "`leave_out` leaves no image", f"each of the {len(dataset)} has one of its values")
    if say is not None:
        say(f"{len(dataset) - len(kept)} of {len(dataset)} images are left out (data.leave_out)")
    return kept


def recipe_digest(recipe: Recipe | NetworkRecipe) -> str:
    """Return ``sha256:…`` of what a recipe says, however it is written; where its data lie is left out."""
    plain = recipe.model_dump(mode="json", by_alias=True)
    plain["data"].pop("folder")
    told = json.dumps(without_newer_keys(plain), sort_keys=True)
    return f"sha256:{hashlib.sha256(told.encode()).hexdigest()}"


def _estimator(recipe: Recipe, catalog: Catalog) -> Any:
    trainable = build(catalog, "trainable", recipe.train, recipe.with_)
    if not callable(getattr(trainable, "features", None)):
        raise D2FError.of("D2F607", f"trainable '{recipe.train}' is no estimator: it has no `features`")
    return trainable


def _table(dataset: Dataset, work: Work, workers: int, cache: Path | None) -> Table:
    if cache is None:
        return make_table(dataset, work.recipe, work.catalog, workers, work.watcher.progress)
    digests = file_digests(dataset)
    key = table_key(work.recipe, work.trainable, dataset, digests)
    table = load_table(cache, key, digests)
    if table is None:
        make_folder(cache)
        kept = str(cache / "features.sqlite")
        table = make_table(dataset, work.recipe, work.catalog, workers, work.watcher.progress, kept)
        if wrong := keep_table(cache, key, table):
            work.watcher.say(wrong)
    return table


def _cross_validated(
    dataset: Dataset, work: Work, table: Table, weights: Floats, keep: Path | None
) -> tuple[Figures, ...]:
    recipe = work.recipe
    fold = folds(components(dataset), dataset.labels, recipe.folds, recipe.seed)
    total = int(fold.max()) + 1
    if keep is not None:
        clear_folds(keep)

    def fitted(number: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        if keep is not None:
            used = fold != number
            digests = [table.digests[i] for i in np.flatnonzero(used)]
            keep_fold(keep, number, arrays, _facts(recipe, dataset.select(used), digests), digests)
        work.watcher.say(f"cross-validation: fold {number + 1} of {total}")

    scores = out_of_fold(work.trainable, table, dataset.labels, weights, fold, recipe.seed, fitted)
    return tuple(figures(dataset, name, scores[:, i]) for i, name in enumerate(measured_names(recipe)))


def _facts(recipe: Recipe, dataset: Dataset, digests: Sequence[str]) -> dict[str, str]:
    """Return what a weights file says of itself; `digests` are those of the set's images."""
    labels = np.asarray(dataset.labels).tolist()
    return {
        "d2f": __version__,
        "trainable": recipe.train,
        "options": json.dumps(recipe.with_, sort_keys=True),
        "recipe": recipe_digest(recipe),
        "data": digest_of(zip(digests, labels, strict=True)),
        "part": recipe.data.part,
        "images": str(len(dataset)),
        "collections": str(len(dataset.collections)),
        "seed": str(recipe.seed),
    }
