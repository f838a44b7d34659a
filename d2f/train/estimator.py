"""The estimator fitter: one fit to a table of features, measured by cross-validation over whole collections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2f.api.inputs import Floats, Labels
from d2f.data.dataset import Dataset
from d2f.data.groups import components, folds
from d2f.train.folder import LOG, Log, make_folder, run_facts
from d2f.train.images import having_any, training_data, training_weights
from d2f.train.report import ValidationFigures, validation_figures
from d2f.train.run import FittedModel, Run
from d2f.train.table import FeatureTable, feature_table
from d2f.weights import short_digests, write_weights

FOLDS = "folds"
"""Folder, in the run folder, of the weights that were each fitted without one fold."""


def fit_estimator(run: Run) -> FittedModel:
    """Fit a trainable with `features`, `fit` and `predict`: make the table, cross-validate, and fit to all of it."""
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
    weights = training_weights(dataset, recipe.balance, recipe.emphasis)
    figures = _cross_validated(run, dataset, table, weights)
    for name, one in figures.items():
        log.write("cross-validation", under=name, **one.row())
    arrays = fit_rows(run.trainable, table.training, dataset.labels, weights, recipe.seed)
    return FittedModel(arrays, facts, short_digests(table.digests), figures, dataset, log)


def _cross_validated(run: Run, dataset: Dataset, table: FeatureTable, weights: Floats) -> dict[str, ValidationFigures]:
    """Return the out-of-fold figures by attack; each fold's weights stay in the run folder for `d2f chain fit`."""
    recipe, folder = run.recipe, run.folder.path / FOLDS
    fold = folds(components(dataset), dataset.labels, recipe.folds, recipe.seed)
    total = int(fold.max()) + 1
    make_folder(folder)
    for path in folder.glob("fold-*.safetensors"):
        path.unlink()

    def fitted(number: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        used = fold != number
        digests = [table.digests[i] for i in np.flatnonzero(used)]
        facts = run_facts(recipe, dataset.select(used), digests) | {"without_fold": str(number + 1)}
        write_weights(folder / f"fold-{number + 1}.safetensors", arrays, facts, short_digests(digests))
        run.watcher.say(f"cross-validation: fold {number + 1} of {total}")

    scores = out_of_fold_scores(run.trainable, table, dataset.labels, weights, fold, recipe.seed, fitted)
    return {name: validation_figures(dataset, scores[:, i]) for i, name in enumerate(("clean", *recipe.measure))}


def out_of_fold_scores(
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
