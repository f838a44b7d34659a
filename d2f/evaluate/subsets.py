"""A chain judged out of fold with some of its members only."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from d2f.api.errors import D2FError
from d2f.api.inputs import Floats, Labels
from d2f.api.stages import Calibrator
from d2f.evaluate.fit_rows import Recipe, Request, as_rows, read_recipe
from d2f.evaluate.out_of_fold import out_of_fold
from d2f.evaluate.score import ScoreTable
from d2f.metrics import log_likelihood_ratio_cost

if TYPE_CHECKING:
    from pydantic import BaseModel

    from d2f.chain.chain import Chain


Columns = tuple[int, ...]


class Subsets:
    """What a chain says of each row when it is fitted, out of fold, with some of its members; each subset once."""

    def __init__(self, chain: Chain, table: ScoreTable, request: Request) -> None:
        recipe = read_recipe(chain, request.calibrator)
        known = {stage: remembering(stage) for stage in set(recipe.calibrators.values())}
        self.recipe = replace(recipe, calibrators={member: known[of] for member, of in recipe.calibrators.items()})
        self.chain, self.table, self.request = chain, table, request
        self.rows = as_rows(table)
        self.weights: Floats = self.rows.weights.reshape(-1, len(table.copies)).sum(axis=1)
        self.every: Columns = tuple(range(len(table.members)))
        self._llr: dict[Columns, Floats] = {}

    def llr(self, columns: Columns) -> Floats:
        """Return the log-likelihood ratios in nats of shape (images, copies), 0 where there is no verdict."""
        if columns not in self._llr:
            found = self._judged(columns)
            self._llr[columns] = np.nan_to_num(found.reshape(-1, len(self.table.copies)), nan=0.0)
        return self._llr[columns]

    def cost(self, columns: Columns) -> float:
        """Return the log-likelihood-ratio cost over all rows, in bits: log loss at even prior, what no verdict is 1."""
        found = log_likelihood_ratio_cost(self.rows.labels, self.llr(columns).ravel(), self.rows.weights)
        return float(found)

    def _judged(self, columns: Columns) -> Floats:
        nothing: Floats = np.full(len(self.rows), np.nan)
        if not columns:
            return nothing
        rows = replace(self.rows, scores=self.rows.scores[:, list(columns)])
        plan, prior = self.chain.plan.part(columns), self.chain.file.verdict.prior
        try:
            return out_of_fold(plan, part(self.recipe, columns), rows, prior, self.request.folds, self.request.seed).llr
        except D2FError as error:
            if columns == self.every or error.problems[0].code != "D2F603":
                raise
            return nothing


def part(recipe: Recipe, columns: Sequence[int]) -> Recipe:
    """Return the recipe of some members; where they are fewer than `need`, all of them are needed."""
    members = tuple(recipe.members[column] for column in columns)
    chosen = {member: recipe.calibrators[member] for member in members}
    return replace(recipe, members=members, calibrators=chosen, need=min(recipe.need, len(members)))


def remembering(stage: type[Calibrator]) -> type[Calibrator]:
    """Return a calibrator that does not fit twice to the same scores: they do not depend on the other members."""
    known: dict[bytes, BaseModel] = {}

    def fit(_: Any, scores: Floats, labels: Labels, weights: Floats) -> BaseModel:
        digest = hashlib.blake2b(digest_size=16)
        for array in (scores, labels, weights):
            digest.update(np.ascontiguousarray(array).tobytes())
        key = digest.digest()
        if key not in known:
            known[key] = stage.fit(scores, labels, weights)
        return known[key]

    return type(stage.__name__, (stage,), {"fit": classmethod(fit)})
