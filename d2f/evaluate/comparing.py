"""Chains of some members beside the chain of all: figures and paired differences on the same bootstrap draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from d2f.api.inputs import Floats
from d2f.evaluate.bench_figures import Draws, p_value
from d2f.evaluate.subsets import Columns, Subsets
from d2f.metrics import Interval
from d2f.metrics.weighted import Ranked, log_likelihood_ratio_cost

Kind: TypeAlias = Literal["chain", "detector", "view", "member", "picked"]
Place: TypeAlias = tuple[str, str]
RANKING = ("auc", "tpr_at_5")
COST = "cost"
WORST, MEAN = "worst", "mean"
"""Stand where the name of a copy does: the lowest over the attacks, and the mean over all copies."""

ADDS, HARMS, NOTHING = "adds", "harms", "no difference shown"


@dataclass(frozen=True)
class Left:
    """A chain with something left out, beside the whole chain."""

    kind: Kind
    name: str
    members: tuple[str, ...]
    copies: tuple[str, ...]
    figures: Mapping[Place, float]
    gains: Mapping[Place, Interval]
    p: Mapping[Place, float]

    @property
    def worst(self) -> str:
        """The attack with the lowest AUC; empty where there is none."""
        return min(self.copies[1:], key=lambda copy: self.figures[copy, "auc"], default="")

    @property
    def says(self) -> str:
        """Whether what was left out adds: its difference in AUC, clean or at the worst attack, excludes zero."""
        clean = said(self.gains[self.copies[0], "auc"])
        worst = said(self.gains[WORST, "auc"]) if self.worst else NOTHING
        if {clean, worst} == {ADDS, HARMS}:
            return f"{clean} clean, {worst} at the worst attack"
        return worst if clean == NOTHING else clean


def said(gain: Interval) -> str:
    """Return in words what an interval of a difference shows."""
    if gain.low > 0:
        return ADDS
    return HARMS if gain.high < 0 else NOTHING


class Comparing:
    """Compares subsets of a chain's members with all of them."""

    def __init__(self, subsets: Subsets, draws: Draws) -> None:
        self.subsets, self.draws = subsets, draws
        self._whole = self._drawn(subsets.every)
        self._known: dict[Columns, tuple[Mapping[Place, float], Mapping[Place, Interval], Mapping[Place, float]]] = {}

    def left(self, kind: Kind, name: str, columns: Columns) -> Left:
        """Return the chain of these members beside the whole chain."""
        if columns not in self._known:
            found = self._drawn(columns)
            gaps = {place: self._whole[place] - found[place] for place in found}
            self._known[columns] = (
                {place: float(values[0]) for place, values in found.items()},
                {place: self.draws.interval(gap) for place, gap in gaps.items()},
                {place: p_value(gap) if self.draws.varied else float("nan") for place, gap in gaps.items()},
            )
        table = self.subsets.table
        return Left(kind, name, tuple(table.members[at] for at in columns), table.copies, *self._known[columns])

    def _drawn(self, columns: Columns) -> dict[Place, Floats]:
        """Return each figure on the sample and on every draw, shape (1 + draws,)."""
        table, llr, weights = self.subsets.table, self.subsets.llr(columns), self.draws.weights
        found: dict[Place, Floats] = {}
        for copy, name in enumerate(table.copies):
            ranked = Ranked(table.labels, llr[:, copy], weights)
            found[name, "auc"] = ranked.auc()
            found[name, "tpr_at_5"] = ranked.true_positive_rate_at(0.05)
            found[name, COST] = log_likelihood_ratio_cost(table.labels, llr[:, copy], weights)
        for figure in RANKING if len(table.copies) > 1 else ():
            found[WORST, figure] = np.min([found[name, figure] for name in table.copies[1:]], axis=0)
        found[MEAN, COST] = np.mean([found[name, COST] for name in table.copies], axis=0)
        return found
