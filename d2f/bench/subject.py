"""What a bench judges: a chain, one of its stages, or another tool's results, in one form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from d2f.api.arrays import Floats, Labels
from d2f.engine.judge import Judge
from d2f.engine.logits import logit
from d2f.scoring.table import ScoreTable

if TYPE_CHECKING:
    from d2f.chain.chain import Chain

Laying: TypeAlias = Literal["both", "generated", "real"]
LAYINGS: tuple[Laying, ...] = ("both", "generated", "real")
"""Whose images an attack is laid over: those of both classes, or of one, the other's staying clean."""

Verdicts: TypeAlias = NDArray[np.int8]
GENERATED, INCONCLUSIVE, REAL = 1, 0, -1


@dataclass(frozen=True)
class Subject:
    """Judgements of a labelled set, clean and under attacks.

    Parameters
    ----------
    name : str
        Of the chain, of the cell (``detector/view``), or of the file.
    kind : {'chain', 'stage', 'peer'}
    values : numpy.ndarray, shape (images, copies), float64
        Log-likelihood ratios in nats where `calibrated`, else any numbers that rise with `generated`. NaN where there
        is none: a ratio of 0 then stands for it, an uncalibrated one is left out of the figures.
    verdicts : numpy.ndarray, shape (images, copies), int8, or None
        1 generated, 0 inconclusive, -1 real; None where it gives none.
    calibrated : bool
    """

    name: str
    kind: Literal["chain", "stage", "peer"]
    values: Floats
    verdicts: Verdicts | None
    calibrated: bool = True

    def taken(self, index: NDArray[np.int64]) -> Subject:
        """Return the judgements of the images at these places."""
        verdicts = None if self.verdicts is None else self.verdicts[index]
        return replace(self, values=self.values[index], verdicts=verdicts)

    def laid(self, labels: Labels, over: Laying) -> Subject:
        """Return the judgements with attacks laid over one class only."""
        if over == "both":
            return self
        attacked = (labels == (1 if over == "generated" else 0))[:, None]
        verdicts = self.verdicts
        if verdicts is not None:
            verdicts = np.where(attacked, verdicts, verdicts[:, :1])
        return replace(self, values=np.where(attacked, self.values, self.values[:, :1]), verdicts=verdicts)


def verdicts_of(probability: Floats, real_below: float, generated_above: float) -> Verdicts:
    """Return the verdict of each probability; NaN is inconclusive."""
    above, below = probability > generated_above, probability < real_below
    return (above.astype(np.int8) - below.astype(np.int8)).astype(np.int8)


def told_names(chains: Sequence[Chain]) -> list[str]:
    """Return a name for each chain; of two that are called alike, such as before and after a fit, with its digest."""
    names = [chain.name for chain in chains]
    return [
        name if names.count(name) == 1 else f"{name}@{chain.digest[:8]}"
        for name, chain in zip(names, chains, strict=True)
    ]


def chain_subjects(chain: Chain, table: ScoreTable, name: str = "") -> tuple[Subject, list[Subject]]:
    """Return a chain's own judgements, and those of each of its stages at the chain's thresholds.

    Parameters
    ----------
    chain : Chain
    table : ScoreTable
        Of its cells.
    name : str
        What it is called; its own name by default.

    Raises
    ------
    D2FError
        D2F406 or D2F407 where the chain's combination fails.
    """
    judged = Judge(chain.plan).probabilities(table.flat())
    shape, rule = table.scores.shape[:2], chain.file.verdict

    def verdicts(probability: Floats) -> Verdicts:
        return verdicts_of(probability, rule.real_below, rule.generated_above).reshape(shape)

    whole = Subject(name or chain.name, "chain", judged.llr.reshape(shape), verdicts(judged.probability))
    cells = judged.cell_probabilities
    stages = [
        Subject(cell, "stage", logit(cells[:, place]).reshape(shape), verdicts(np.round(cells[:, place], 4)))
        for place, cell in enumerate(table.cells)
    ]
    return whole, stages
