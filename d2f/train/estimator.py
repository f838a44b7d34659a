"""The estimator fitter: one fit to a table of features, measured by cross-validation over whole collections."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError
from d2f.api.inputs import Floats, Labels
from d2f.data.dataset import Dataset
from d2f.data.groups import components
from d2f.data.split import folds
from d2f.train.figures import ValidationFigures, validation_figures
from d2f.train.folder import LOG, Log, make_folder, require_free, run_facts
from d2f.train.images import having_any, image_weights, training_data
from d2f.train.run import FittedModel, Run
from d2f.train.table import FeatureTable, feature_table
from d2f.weights import read_weights, short_digests, write_weights


class EstimatorFitter:
    """Fits a trainable with `features`, `fit` and `predict`."""

    rank = 0

    def check(self, run: Run) -> None:
        """See that the weights of the folds have a place of their own."""
        if run.request.oof_folds is not None:
            folder = FoldFolder(run.request.oof_folds)
            folder.require_free(run.request.output, run.recipe.folds, run.request.overwrite)
            make_folder(folder.path)

    def fit(self, run: Run) -> FittedModel:
        """Make the table, cross-validate, and fit to all of it."""
        recipe, say = run.recipe, run.watcher.say
        dataset = training_data(recipe, run.request.data, say)
        say(dataset.describe())
        if recipe.copies.measured_only:
            count = int(having_any(dataset, recipe.copies.measured_only).sum())
            say(f"{count} of {len(dataset)} images are fitted to as measured only (copies.measured_only)")
        table = feature_table(run, dataset).repeated(recipe.copies.measured)
        facts = run_facts(recipe, dataset, table.digests)
        run.folder.describe(recipe, facts, resume=False)
        log = Log(run.folder.path / LOG)
        log.write("start", **facts)
        weights = image_weights(dataset, recipe.balance, recipe.emphasis)
        figures = _cross_validated(run, dataset, table, weights)
        for name, one in figures.items():
            log.write("cross-validation", under=name, **one.row())
        arrays = fit_rows(run.trainable, table.training, dataset.labels, weights, recipe.seed)
        return FittedModel(arrays, facts, short_digests(table.digests), figures, dataset, log)


def _cross_validated(run: Run, dataset: Dataset, table: FeatureTable, weights: Floats) -> dict[str, ValidationFigures]:
    recipe, folder = run.recipe, run.request.oof_folds
    fold = folds(components(dataset), dataset.labels, recipe.folds, recipe.seed)
    total = int(fold.max()) + 1
    if folder is not None:
        FoldFolder(folder).clear()

    def fitted(number: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        if folder is not None:
            used = fold != number
            digests = [table.digests[i] for i in np.flatnonzero(used)]
            FoldFolder(folder).write(number, arrays, run_facts(recipe, dataset.select(used), digests), digests)
        run.watcher.say(f"cross-validation: fold {number + 1} of {total}")

    scores = out_of_fold(run.trainable, table, dataset.labels, weights, fold, recipe.seed, fitted)
    return {name: validation_figures(dataset, scores[:, i]) for i, name in enumerate(("clean", *recipe.measure))}


def out_of_fold(
    trainable: Any,
    table: FeatureTable,
    labels: Labels,
    weights: Floats,
    fold: NDArray[np.int64],
    seed: int,
    fitted: Callable[[int, Mapping[str, NDArray[Any]]], None],
) -> Floats:
    """Return the measuring variants' scores under models that saw nothing of their fold, (images, 1 + attacks).

    `fitted` is called with each fold and the arrays that were fitted without it.
    """
    scores = np.full(table.measuring.shape[:2], np.nan)
    for number in np.unique(fold):
        held = fold == number
        arrays = fit_rows(trainable, table.training[~held], labels[~held], weights[~held], seed)
        scores[held] = predict(trainable, arrays, table.measuring[held])
        fitted(int(number), arrays)
    return scores


def fit_rows(
    trainable: Any, features: Floats, labels: Labels, weights: Floats, seed: int
) -> Mapping[str, NDArray[Any]]:
    """Fit to variants (images, variants, d), each with its image's label and weight; rows of NaN are left out.

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


def predict(trainable: Any, arrays: Mapping[str, NDArray[Any]], features: Floats) -> Floats:
    """Return the scores of variants (images, variants, d), NaN where there are no features."""
    rows = features.reshape(-1, features.shape[2])
    there = ~np.isnan(rows).any(axis=1)
    scores = np.full(len(rows), np.nan)
    scores[there] = trainable.predict(arrays, rows[there])
    return scores.reshape(features.shape[:2])


class FoldFolder:
    """A folder of out-of-fold weights: each file was fitted without one fold."""

    NAME = re.compile(r"fold-[1-9][0-9]*\.safetensors")
    WITHOUT = "without_fold"
    """What such a file alone says of itself: the fold that it was fitted without, from 1."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, number: int) -> Path:
        """Return the file of the weights that were fitted without a fold, counted from 0."""
        return self.path / f"fold-{number + 1}.safetensors"

    def require_free(self, output: Path, count: int, overwrite: bool) -> None:
        """Refuse files that training did not make, and a weights file where a fold's is to be written."""
        if self.NAME.fullmatch(output.name) and output.parent.resolve() == self.path.resolve():
            message = f"'{output}' is where the weights of a fold are written"
            raise D2FError.of("D2F004", message, "name another file with -o")
        require_free((self.file(number) for number in range(count)), overwrite, "--oof-folds")

    def write(
        self, number: int, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, str], digests: Iterable[str]
    ) -> None:
        """Write the weights that were fitted without a fold."""
        more = {**facts, self.WITHOUT: str(number + 1)}
        write_weights(self.file(number), arrays, more, short_digests(digests))

    def clear(self) -> None:
        """Remove what an earlier run left, which may have had more folds; other files stay."""
        for path in sorted(self.path.iterdir()):
            if self.NAME.fullmatch(path.name) and self._written(path):
                try:
                    path.unlink()
                except OSError as error:
                    raise D2FError.of("D2F004", f"'{path}' cannot be removed: {error.strerror}") from error

    def _written(self, path: Path) -> bool:
        try:
            return self.WITHOUT in read_weights(path).metadata
        except (D2FError, OSError):
            return False
