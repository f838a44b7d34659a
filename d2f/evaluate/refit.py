"""The thresholds alone, re-fitted on a user's own images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from d2f.api.errors import D2FError
from d2f.api.inputs import Floats
from d2f.chain.write import fitted_text
from d2f.data.dataset import Dataset
from d2f.engine.judge import Judge
from d2f.evaluate.fit import data_block, oof_weights_block, scored_unseen, verdict_block
from d2f.evaluate.fit_rows import Request, Rows, as_rows
from d2f.evaluate.parts import Thresholds, fit_thresholds
from d2f.evaluate.score import ScoreTable

if TYPE_CHECKING:
    from d2f.chain.chain import Chain
    from d2f.chain.model import VerdictRule


@dataclass(frozen=True)
class ThresholdFit:
    """Thresholds found on a set, everything else left as it was."""

    text: str
    table: ScoreTable
    rows: Rows
    llr: Floats  # (m,), float64
    probability: Floats  # (m,), float64
    thresholds: Thresholds
    rule: VerdictRule
    notes: tuple[str, ...] = ()


def fit_only_thresholds(chain: Chain, images: Dataset, request: Request) -> ThresholdFit:
    """Find thresholds for a fitted chain; no folds are needed, for nothing else is learned."""
    if not chain.file.calibrate:
        raise D2FError.of("D2F127", f"chain '{chain.name}' is not fitted, so it has no thresholds to re-fit")
    for label, word in enumerate(("photograph", "generated image")):
        if not (images.labels == label).any():
            raise D2FError.of("D2F603", f"there is no {word}", "thresholds need images of both labels")
    table, notes = scored_unseen(chain, images, request)
    rows = as_rows(table, by_source=False)
    judged = Judge(chain.plan).probabilities(rows.scores)
    if np.isnan(judged.probability).all():
        raise D2FError.of("D2F603", "the chain has a verdict for none of the images")
    rule = chain.file.verdict
    thresholds = fit_thresholds(rows, judged.probability, rule.false_positive_rate, rule.miss_rate)
    updates = {"verdict": verdict_block(rule, thresholds), "fitted": _refitted(chain, table, request)}
    text = fitted_text(chain.text, updates)
    return ThresholdFit(text, table, rows, judged.llr, judged.probability, thresholds, rule, notes)


def _refitted(chain: Chain, table: ScoreTable, request: Request) -> dict[str, object]:
    before = chain.file.fitted
    again = {
        **data_block(table),
        "protocol": request.protocol,
        "date": request.today.isoformat(),
        **oof_weights_block(chain, table),
    }
    return {**(before.model_dump(mode="json", exclude_none=True) if before else {}), "thresholds": again}
