"""Every figure of a system on labelled images, computed at once on a sample and on its bootstrap draws.

To add a metric: a line in `FIGURES`, and its value in `ranking_figures`, `calibration_figures` or `verdict_figures`;
a row in docs/reference/bench.md. Reports, `bench.json` and `d2f bench compare` follow by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from d2f.api.inputs import Floats, Labels
from d2f.metrics.calibration import brier, even, expected_calibration_error, log_likelihood_ratio_cost, sigmoid
from d2f.metrics.ranking import Ranked, balanced_accuracy, divided, like_roc_auc, share

Verdicts = NDArray[np.int8]
GENERATED, INCONCLUSIVE, REAL = 1, 0, -1
WORDS = {GENERATED: "generated", INCONCLUSIVE: "inconclusive", REAL: "real"}


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure in words; `better` is 1 where more is better, else -1; `photographs` is how many it needs at least."""

    title: str
    heading: str
    better: int
    photographs: int = 20
    generated: int = 20


FIGURES: Mapping[str, Figure] = {
    "auc": Figure("area under the ROC curve", "AUC", 1),
    "auc_like_aspect": Figure("area under the ROC curve, pairs of like aspect (within 5 %)", "AUC, like", 1),
    "average_precision": Figure("average precision", "AP", 1),
    "balanced_accuracy": Figure("balanced accuracy at even odds", "bal. acc.", 1),
    "balanced_accuracy_verdicts": Figure("balanced accuracy of verdicts, inconclusive counted as wrong", "verdicts", 1),
    "tpr_at_1": Figure("generated found at 1 % false alarms", "TPR@1%", 1, 200),
    "tpr_at_5": Figure("generated found at 5 % false alarms", "TPR@5%", 1, 40),
    "true_positive": Figure("generated called generated (TPR)", "TPR", 1, 0),
    "false_positive": Figure("photographs called generated (FPR)", "FPR", -1, 20, 0),
    "true_negative": Figure("photographs called real", "TNR", 1, 20, 0),
    "miss": Figure("generated called real", "missed", -1, 0),
    "inconclusive": Figure("share inconclusive", "inconcl.", -1),
    "precision_generated": Figure("precision of the verdict generated, classes 50/50", "prec. gen.", 1),
    "precision_real": Figure("precision of the verdict real, classes 50/50", "prec. real", 1),
    "ece": Figure("expected calibration error, classes 50/50", "ECE", -1, 100, 100),
    "brier": Figure("Brier score, classes 50/50", "Brier", -1),
    "cllr": Figure("log-likelihood-ratio cost, bits", "Cllr", -1),
    "evasion": Figure("of all generated, called so clean and no longer", "evasion", -1, 0),
    "new_false_alarms": Figure("of all photographs, newly called generated", "new alarms", -1, 20, 0),
}
"""Every figure, in the order of tables."""


def verdicts_of(probability: Floats, real_below: float, generated_above: float) -> Verdicts:
    """Return the verdict of each probability; NaN is inconclusive."""
    above, below = probability > generated_above, probability < real_below
    return (above.astype(np.int8) - below.astype(np.int8)).astype(np.int8)


def figures(
    labels: Labels,
    values: Floats,
    verdicts: Verdicts | None,
    weights: Floats,
    clean: Verdicts | None = None,
    calibrated: bool = True,
    aspect: Floats | None = None,
) -> dict[str, Floats]:
    """Return every figure of `FIGURES` on each row of weights; NaN where a figure is not defined.

    `values` are log-likelihood ratios in nats, where NaN (no answer, or a precondition failed) counts as 0; or, not
    `calibrated`, scores of any scale, where images without one are left out. `verdicts` and `clean`, shape (n,), int8,
    are `GENERATED`, `INCONCLUSIVE` or `REAL`; `clean` those of the clean images, where these are under an attack.
    `weights` have shape (rows, n); `aspect`, shape (n,), is width over height of each picture as it was found.
    """
    given = weights if calibrated else weights * np.isfinite(values)
    values = np.nan_to_num(values, nan=0.0)
    found = ranking_figures(labels, values, given)
    if aspect is not None:
        found["auc_like_aspect"] = like_roc_auc(labels, values, aspect, given)
    if calibrated:
        found |= calibration_figures(labels, values, given)
    if verdicts is not None:
        found |= verdict_figures(labels, verdicts, given, clean)
    nothing = np.full(len(weights), np.nan)
    return {name: found.get(name, nothing) for name in FIGURES}


def ranking_figures(labels: Labels, values: Floats, weights: Floats) -> dict[str, Floats]:
    """Return the figures that only the order of the values decides."""
    ranked = Ranked(labels, values, weights)
    found = {"auc": ranked.auc(), "average_precision": ranked.average_precision()}
    for name, rate in (("tpr_at_1", 0.01), ("tpr_at_5", 0.05)):
        # A rate below that of one photograph of all is not defined.
        if (labels == 0).sum() * rate >= 1:
            found[name] = ranked.true_positive_rate_at(rate)
    return found


def calibration_figures(labels: Labels, values: Floats, weights: Floats) -> dict[str, Floats]:
    """Return the figures that hold log-likelihood ratios to the labels, both labels weighing the same."""
    # A row that lacks a label has no weight left, and so no figure.
    probability, halves = sigmoid(values), even(labels, weights)
    halves[np.isnan(halves).any(axis=1)] = 0.0
    return {
        "balanced_accuracy": balanced_accuracy(labels, values, 0.0, weights),
        "ece": expected_calibration_error(labels, probability, halves),
        "brier": brier(labels, probability, halves),
        "cllr": log_likelihood_ratio_cost(labels, values, weights),
    }


def verdict_figures(
    labels: Labels, verdicts: Verdicts, weights: Floats, clean: Verdicts | None = None
) -> dict[str, Floats]:
    """Return the figures that only the verdicts decide."""
    real, generated = labels == 0, labels == 1
    called, cleared = verdicts == GENERATED, verdicts == REAL
    found, alarms = share(called, generated, weights), share(called, real, weights)
    freed, missed = share(cleared, real, weights), share(cleared, generated, weights)
    rates = {
        "true_positive": found,
        "false_positive": alarms,
        "true_negative": freed,
        "miss": missed,
        "inconclusive": share(verdicts == INCONCLUSIVE, np.ones(len(labels), dtype=bool), weights),
        "balanced_accuracy_verdicts": (found + freed) / 2,
        "precision_generated": divided(found, found + alarms),
        "precision_real": divided(freed, freed + missed),
    }
    if clean is not None:
        rates["evasion"] = share((clean == GENERATED) & ~called, generated, weights)
        rates["new_false_alarms"] = share((clean != GENERATED) & called, real, weights)
    return rates


def too_few(labels: Labels, names: Iterable[str] = FIGURES) -> Iterator[str]:
    """Yield a sentence for each label that has fewer images than some figures need."""
    for label, noun in enumerate(("photographs", "generated images")):
        count = int((labels == label).sum())
        needs: dict[int, list[str]] = {}
        for name in names:
            needed = FIGURES[name].generated if label else FIGURES[name].photographs
            if count < needed:
                needs.setdefault(needed, []).append(FIGURES[name].heading)
        if needs:
            which = "; ".join(f"{', '.join(headings)} (at least {least})" for least, headings in sorted(needs.items()))
            yield f"{count} {noun} are too few for {which}"
