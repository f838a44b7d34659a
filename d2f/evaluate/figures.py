"""A table in plain text, for terminals and for Markdown's code blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from d2f.api.inputs import Floats, Labels
from d2f.engine.findings import expit
from d2f.metrics import (
    balanced_accuracy,
    brier,
    expected_calibration_error,
    log_likelihood_ratio_cost,
    roc_auc,
    true_positive_rate_at,
)
from d2f.metrics.ranking import rates

TITLES: Mapping[str, str] = {
    "auc": "AUC",
    "balanced_accuracy": "balanced accuracy at even odds",
    "tpr_at_5": "generated found at 5 % false alarms",
    "tpr_at_1": "generated found at 1 % false alarms",
    "true_positive": "generated called generated",
    "false_positive": "photographs called generated",
    "true_negative": "photographs called real",
    "miss": "generated called real",
    "inconclusive": "inconclusive",
    "ece": "expected calibration error",
    "brier": "Brier score",
    "cllr": "log-likelihood-ratio cost, bits",
}
"""Every figure, in the order of `figures`, in words."""


def figures(
    labels: Labels,
    llr: Floats,
    probability: Floats,
    real_below: float,
    generated_above: float,
    weights: Floats | None = None,
) -> dict[str, float]:
    """Return every figure of `TITLES`.

    `labels` shape (n,); `llr` shape (n,), float64; `probability` shape (n,), float64; `weights` shape (n,), float64,
    optional.
    """
    ratio = np.where(np.isnan(llr), 0.0, llr)
    given = np.ones(len(labels)) if weights is None else weights
    even = _even(labels, given)
    verdicts = np.where(np.isnan(probability), generated_above, probability)
    found = rates(labels, verdicts, real_below, generated_above, given)
    return {
        "auc": roc_auc(labels, ratio, given),
        "balanced_accuracy": balanced_accuracy(labels, ratio, 0.0, given),
        "tpr_at_5": true_positive_rate_at(labels, ratio, 0.05, given),
        "tpr_at_1": true_positive_rate_at(labels, ratio, 0.01, given),
        "true_positive": found.true_positive,
        "false_positive": found.false_positive,
        "true_negative": found.true_negative,
        "miss": found.miss,
        "inconclusive": found.inconclusive,
        "ece": expected_calibration_error(labels, expit(ratio), even),
        "brier": brier(labels, expit(ratio), even),
        "cllr": log_likelihood_ratio_cost(labels, ratio, given),
    }


def _even(labels: Labels, weights: Floats) -> Floats:
    """Weights with half of their sum on each label; all zero where a label has none, so that figures are NaN."""
    totals = np.array([weights[labels == label].sum() for label in (0, 1)])
    if not totals.all():
        return np.zeros(len(weights))
    even: Floats = weights / (2 * totals[labels.astype(np.int64)])
    return even


def text_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table: the first column flush left, the others flush right.

    >>> text_table(["attack", "AUC"], [["none", "0.91"], ["jpeg", "0.8"]])
    ['attack   AUC', 'none    0.91', 'jpeg     0.8']
    """
    table = [list(headings), *map(list, rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(headings))]
    return [
        "  ".join(
            member.ljust(width) if column == 0 else member.rjust(width)
            for column, (member, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]
