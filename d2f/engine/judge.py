"""From scores to a verdict: calibration of each cell, combination, prior, thresholds.

The same arithmetic serves one row of a run and the whole table of a fit or a bench.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError, Exit, Problem
from d2f.api.inputs import Floats
from d2f.api.outcomes import StageFinished
from d2f.api.rows import Cell, Failure, Row, Verdict
from d2f.api.stages import Calibrator
from d2f.engine.findings import STAGE_ERRORS, Observe, Watch, clipped, expit, logit, said
from d2f.engine.loading import load_each
from d2f.engine.plan import Decision, Plan, Scored

DECIMALS = 4
"""Probabilities, ratios and contributions are rounded to this many decimals; scores are not."""


def row(plan: Plan, scored: Scored, judged: Judged | None = None, problem: Problem | None = None) -> Row:
    """Write the row of one image."""
    failure = Failure(problem.code, problem.message) if problem is not None else scored.failure
    cells, probability, llr = scored.cells, None, None
    verdict: Verdict | None = None
    flips: tuple[str, ...] = ()
    if judged is not None and plan.decision is not None:
        cells = tuple(_cell(cell, judged, index) for index, cell in enumerate(cells))
        probability, llr = rounded(judged.probability[0]), rounded(judged.llr[0])
        verdict = verdict_of(probability, plan.decision)
        flips = flips_of(cells, plan.decision)
    facts = (scored.path, scored.sha256, scored.width, scored.height, scored.format)
    return Row(*facts, probability, verdict, flips, llr, cells, plan.name, plan.digest, failure)


def rounded(value: float) -> float | None:
    """Round to 4 decimals; None for NaN, and no negative zero."""
    return None if math.isnan(value) else round(float(value), DECIMALS) + 0.0


def verdict_of(probability: float | None, decision: Decision) -> Verdict:
    """Compare a rounded probability with the thresholds; without one the verdict is `inconclusive`."""
    if probability is None:
        return "inconclusive"
    if probability > decision.generated_above:
        return "generated"
    return "real" if probability < decision.real_below else "inconclusive"


def flips_of(cells: Sequence[Cell], decision: Decision) -> tuple[str, ...]:
    """Name the detectors that find `generated` in one view and `real` in another, at even prior.

    Each is one line such as ``"resnet: plain generated, denoised real"``: the views that are past a
    threshold, in the chain's order.
    """
    found: dict[str, list[tuple[str, Verdict]]] = {}
    for cell in cells:
        verdict = verdict_of(cell.probability, decision)
        if verdict != "inconclusive":
            found.setdefault(cell.detector, []).append((cell.view, verdict))
    return tuple(
        f"{detector}: " + ", ".join(f"{view} {verdict}" for view, verdict in views)
        for detector, views in found.items()
        if len({verdict for _, verdict in views}) > 1
    )


def _cell(cell: Cell, judged: Judged, index: int) -> Cell:
    if judged.miscalibrated[0, index]:
        message = f"the calibrator gave no probability for the score {cell.score!r}"
        return replace(cell, error=Failure("D2F406", message))
    probability = rounded(judged.cell_probabilities[0, index])
    return replace(cell, probability=probability, contribution=rounded(judged.contributions[0, index]))


@dataclass(frozen=True, slots=True)
class Judged:
    """What a decision makes of n images."""

    cell_probabilities: Floats  # (n, cells), float64
    miscalibrated: NDArray[np.bool_]  # (n, cells), bool
    llr: Floats  # (n,), float64
    contributions: Floats  # (n, cells), float64
    probability: Floats  # (n,), float64


class Judge:
    """A plan's decision, ready to be applied."""

    def __init__(self, plan: Plan, observe: Observe | None = None) -> None:
        if plan.decision is None:
            raise D2FError.of("D2F127", f"chain {plan.name!r} has no combiner, so it gives scores only")
        self.plan = plan
        self.decision: Decision = plan.decision
        self._watch = Watch(observe)
        self._prior = math.log(self.decision.prior) - math.log1p(-self.decision.prior)
        self._calibrators = [self.decision.calibrators.get(name) for name in plan.cell_names]
        load_each(self._stages())

    def _stages(self) -> Iterator[tuple[str, Any]]:
        for name, calibrator in zip(self.plan.cell_names, self._calibrators, strict=True):
            if calibrator is not None:
                yield f"the calibrator of {name!r}", calibrator
        yield "the combiner", self.decision.combiner
        if self.decision.chain_calibrator is not None:
            yield "the chain's own calibrator", self.decision.chain_calibrator

    def row(self, scored: Scored) -> Row:
        """Return the finished row of one image; what goes wrong is stated in it, never raised."""
        if scored.failure is not None:
            return row(self.plan, scored)
        try:
            judged = self.probabilities(np.array([scored.scores], dtype=np.float64))
        except D2FError as error:
            return row(self.plan, scored, problem=error.problems[0])
        return row(self.plan, scored, judged)

    def probabilities(self, scores: Floats) -> Judged:
        """Judge a table of scores.

        `scores` shape (n, cells), float64.
        """
        cells, miscalibrated = self._calibrated(scores)
        enough = np.isfinite(cells).sum(axis=1) >= max(1, self.decision.need)
        llr = np.full(len(scores), np.nan)
        contributions = np.full(scores.shape, np.nan)
        if enough.any():
            llr[enough], contributions[enough] = self._combined(cells[enough])
        contributions[np.isnan(cells)] = np.nan
        probability = np.round(expit(llr + self._prior), 4)
        return Judged(cells, miscalibrated, llr, contributions, probability)

    def _calibrated(self, scores: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        cells = np.full(scores.shape, np.nan)
        bad = np.zeros(scores.shape, dtype=bool)
        for column, calibrator in enumerate(self._calibrators):
            scored = np.isfinite(scores[:, column])
            if calibrator is None or not scored.any():
                continue
            found = _probability(calibrator, np.ascontiguousarray(scores[scored, column]))
            cells[scored, column] = found
            bad[scored, column] = np.isnan(found)
        return clipped(cells), bad

    def _combined(self, cells: Floats) -> tuple[Floats, Floats]:
        """Return ratio and contributions of rows that hold enough cells."""
        begun = time.perf_counter()
        try:
            combination = self.decision.combiner.combine(cells)
            llr = np.asarray(combination.llr, dtype=np.float64)
            contributions = np.asarray(combination.contributions, dtype=np.float64)
        except STAGE_ERRORS as error:
            raise _broken("D2F407", f"the combiner raised {said(error)}") from error
        if not _is_combination(llr, contributions, cells):
            raise _broken("D2F407", "the combiner returned something that is not one finite ratio an image")
        self._watch.tell(StageFinished("combiner", "combiner", "", len(cells), time.perf_counter() - begun))
        return self._recalibrated(llr), contributions

    def _recalibrated(self, llr: Floats) -> Floats:
        if self.decision.chain_calibrator is None:
            return llr
        found = _probability(self.decision.chain_calibrator, llr)
        if np.isnan(found).any():
            raise _broken("D2F406", "the chain's own calibrator returned something that is not a probability")
        return logit(clipped(found))


def _is_combination(llr: Floats, contributions: Floats, cells: Floats) -> bool:
    if llr.shape != (len(cells),) or contributions.shape != cells.shape:
        return False
    return bool(np.isfinite(llr).all() and np.isfinite(contributions[np.isfinite(cells)]).all())


def _probability(calibrator: Calibrator, scores: Floats) -> Floats:
    """Return the calibrator's probabilities, NaN where it gave none within [0, 1]."""
    try:
        found = np.array(calibrator.probability(scores), dtype=np.float64)
    except STAGE_ERRORS:  # a broken calibrator costs its own cells, which say so
        return np.full(scores.shape, np.nan)
    if found.shape != scores.shape:
        return np.full(scores.shape, np.nan)
    found[~((found >= 0.0) & (found <= 1.0))] = np.nan
    return found


def _broken(code: str, message: str) -> D2FError:
    return D2FError.of(code, message, exit=Exit.PLUGIN)
