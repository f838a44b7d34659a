"""A row written from scores and what the judge found: rounding, verdict, flips."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from d2f.api.errors import Problem
from d2f.api.rows import Cell, Failure, Row, Verdict
from d2f.engine.plan import Decision, Plan
from d2f.engine.scored import Scored

if TYPE_CHECKING:
    from d2f.engine.judge import Judged

DECIMALS = 4
"""Probabilities, ratios and contributions are rounded to this many decimals; scores are not."""


def row(plan: Plan, scored: Scored, judged: Judged | None = None, problem: Problem | None = None) -> Row:
    """Write the row of one image.

    Parameters
    ----------
    plan : Plan
    scored : Scored
    judged : Judged, optional
        Of this image alone (n = 1); absent where the image, or the decision on it, failed.
    problem : Problem, optional
        Why there is no decision.
    """
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
