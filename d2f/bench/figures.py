"""The figures of a bench, each with its words and the direction that is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from d2f.api.arrays import Floats, Labels
from d2f.bench import drawn
from d2f.bench.subject import GENERATED, INCONCLUSIVE, REAL, Subject
from d2f.engine.logits import expit


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure in words.

    Parameters
    ----------
    title : str
        For a page.
    heading : str
        For a table's column.
    better : {1, -1, 0}
        1 where more is better, -1 where less is, 0 where neither.
    """

    title: str
    heading: str
    better: int


FIGURES: Mapping[str, Figure] = {
    "auc": Figure("area under the ROC curve", "AUC", 1),
    "average_precision": Figure("average precision", "AP", 1),
    "balanced_accuracy": Figure("balanced accuracy at even odds", "bal. acc.", 1),
    "balanced_accuracy_verdicts": Figure("balanced accuracy of verdicts, inconclusive counted as wrong", "verdicts", 1),
    "tpr_at_1": Figure("generated found at 1 % false alarms", "TPR@1%", 1),
    "tpr_at_5": Figure("generated found at 5 % false alarms", "TPR@5%", 1),
    "true_positive": Figure("generated called generated (TPR)", "TPR", 1),
    "false_positive": Figure("photographs called generated (FPR)", "FPR", -1),
    "true_negative": Figure("photographs called real", "TNR", 1),
    "miss": Figure("generated called real", "missed", -1),
    "inconclusive": Figure("share inconclusive", "inconcl.", -1),
    "precision_generated": Figure("precision of the verdict generated, classes 50/50", "prec. gen.", 1),
    "precision_real": Figure("precision of the verdict real, classes 50/50", "prec. real", 1),
    "ece": Figure("expected calibration error, classes 50/50", "ECE", -1),
    "brier": Figure("Brier score, classes 50/50", "Brier", -1),
    "cllr": Figure("log-likelihood-ratio cost, bits", "Cllr", -1),
    "evasion": Figure("of all generated, called so clean and no longer", "evasion", -1),
    "new_false_alarms": Figure("of all photographs, newly called generated", "new alarms", -1),
}
"""Every figure, in the order of tables."""


def figures(subject: Subject, labels: Labels, weights: Floats, copy: int = 0) -> dict[str, Floats]:
    """Return every figure of `FIGURES` on each row of weights.

    Parameters
    ----------
    subject : Subject
    labels : numpy.ndarray, shape (n,)
        0 real, 1 generated.
    weights : numpy.ndarray, shape (draws, n), float64
    copy : int
        Which copy; 0 is the clean one, from which evasion is counted.

    Returns
    -------
    dict of str to numpy.ndarray, shape (draws,), float64
        NaN where a label is missing, where nothing of the kind was called, or where the subject does not say.
    """
    values = subject.values[:, copy]
    given = weights
    if not subject.calibrated:
        given = weights * np.isfinite(values)
    values = np.nan_to_num(values, nan=0.0)
    found = {**_ranking(labels, values, given), **_calibration(subject, labels, values, given)}
    found |= verdict_figures(subject, labels, given, copy)
    nothing = np.full(len(weights), np.nan)
    return {name: found.get(name, nothing) for name in FIGURES}


def _ranking(labels: Labels, values: Floats, weights: Floats) -> dict[str, Floats]:
    ranked = drawn.Ranked(labels, values, weights)
    return {
        "auc": ranked.auc(),
        "average_precision": ranked.average_precision(),
        "tpr_at_1": ranked.true_positive_rate_at(0.01),
        "tpr_at_5": ranked.true_positive_rate_at(0.05),
    }


def _calibration(subject: Subject, labels: Labels, values: Floats, weights: Floats) -> dict[str, Floats]:
    if not subject.calibrated:
        return {}
    probability = expit(values)
    return {
        "balanced_accuracy": drawn.balanced_accuracy(labels, values, weights),
        "ece": drawn.expected_calibration_error(labels, probability, weights),
        "brier": drawn.brier(labels, probability, weights),
        "cllr": drawn.log_likelihood_ratio_cost(labels, values, weights),
    }


def verdict_figures(subject: Subject, labels: Labels, weights: Floats, copy: int) -> dict[str, Floats]:
    """Return the figures that only the verdicts decide; none of a subject that gives none."""
    if subject.verdicts is None:
        return {}
    real, generated = labels == 0, labels == 1
    said, clean = subject.verdicts[:, copy], subject.verdicts[:, 0]
    called, cleared = said == GENERATED, said == REAL
    found, alarms = drawn.share(called, generated, weights), drawn.share(called, real, weights)
    freed, missed = drawn.share(cleared, real, weights), drawn.share(cleared, generated, weights)
    rates = {
        "true_positive": found,
        "false_positive": alarms,
        "true_negative": freed,
        "miss": missed,
        "inconclusive": drawn.share(said == INCONCLUSIVE, np.ones(len(labels), dtype=bool), weights),
        "balanced_accuracy_verdicts": (found + freed) / 2,
        "precision_generated": _precision(found, alarms),
        "precision_real": _precision(freed, missed),
    }
    if copy:
        rates["evasion"] = drawn.share((clean == GENERATED) & ~called, generated, weights)
        rates["new_false_alarms"] = drawn.share((clean != GENERATED) & called, real, weights)
    return rates


def _precision(right: Floats, wrong: Floats) -> Floats:
    called = right + wrong
    precision: Floats = np.divide(right, called, out=np.full(len(right), np.nan), where=called > 0)
    return precision
