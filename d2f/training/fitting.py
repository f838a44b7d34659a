"""A trainable fitted to the rows of a table, and its cross-validated scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2f.api.arrays import Floats, Labels
from d2f.training.table import Table


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

    Returns
    -------
    numpy.ndarray, shape (images, 1 + attacks), float64
        NaN where a copy has no features.
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
