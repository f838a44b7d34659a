"""What a fitted chain says of images that it was not fitted on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from d2f.api.arrays import Floats
from d2f.engine.judge import Judge
from d2f.engine.plan import Plan
from d2f.fitting.parts import fit_parts
from d2f.fitting.recipe import Recipe
from d2f.fitting.rows import Rows


@dataclass(frozen=True)
class OutOfFold:
    """Judgements of m rows, each by parts fitted without the row's component.

    Parameters
    ----------
    fold : numpy.ndarray, shape (m,), int64
    cells : numpy.ndarray, shape (m, cells), float64
        Probabilities at even prior; NaN where there is none.
    llr : numpy.ndarray, shape (m,), float64
        In nats, before the prior; NaN where there is no verdict.
    probability : numpy.ndarray, shape (m,), float64
        At the chain's prior, 4 decimals; NaN where `llr` is.
    """

    fold: NDArray[np.int64]
    cells: Floats
    llr: Floats
    probability: Floats


def out_of_fold(plan: Plan, recipe: Recipe, rows: Rows, prior: float, k: int, seed: int) -> OutOfFold:
    """Fit everything k times, each time without one fold, and judge that fold.

    Raises
    ------
    D2FError
        D2F603 where a label comes from fewer than two components.
    """
    fold = rows.deal(k, seed)
    found = OutOfFold(fold, *(np.full(shape, np.nan) for shape in (rows.scores.shape, len(rows), len(rows))))
    for number in np.unique(fold):
        held = fold == number
        parts = fit_parts(recipe, rows.take(~held), k, seed)
        judge = Judge(Plan(plan.name, "", plan.views, plan.detectors, parts.decision(prior)))
        judged = judge.probabilities(rows.scores[held])
        found.cells[held], found.llr[held] = judged.cell_probabilities, judged.llr
        found.probability[held] = judged.probability
    return found
