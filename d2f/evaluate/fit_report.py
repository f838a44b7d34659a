"""What a fit has to say, in lines for a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from d2f.api.inputs import Floats
from d2f.evaluate.figures import figures, text_table
from d2f.evaluate.fit import Fit
from d2f.evaluate.fit_rows import Rows
from d2f.evaluate.parts import Thresholds, fit_thresholds, images_needed
from d2f.evaluate.refit import ThresholdFit
from d2f.evaluate.score import ScoreTable
from d2f.metrics import Interval, cluster_bootstraps, roc_auc
from d2f.metrics.ranking import rates

SHOWN = ("auc", "balanced_accuracy", "ece", "tpr_at_5", "true_positive", "false_positive", "miss", "inconclusive")
HEADINGS = ("AUC", "bal. acc.", "ECE", "TPR@5%", "gen. found", "false alarms", "missed", "inconcl.")
DRAWS = 300


def fit_lines(fit: Fit) -> Iterator[str]:
    """Yield the report of a whole fit; every figure is out of fold."""
    yield from head_lines(fit.table)
    yield ""
    yield from member_lines(fit)
    yield ""
    yield "the chain, out of fold, by what was laid over the images"
    yield from copy_lines(fit)
    yield ""
    yield from threshold_lines(fit.rows, fit.judged.probability, fit.thresholds, fit)
    yield from after_lines(fit.table, fit.notes)


def threshold_fit_lines(fit: ThresholdFit) -> Iterator[str]:
    """Yield the report of a fit of thresholds alone."""
    yield from head_lines(fit.table)
    found = figures(fit.rows.labels, fit.llr, fit.probability, 0.5, 0.5, fit.rows.weights)
    yield f"the chain on them: AUC {found['auc']:.3f}, balanced accuracy {found['balanced_accuracy']:.3f}"
    yield f"thresholds before: real below {fit.rule.real_below:g}, generated above {fit.rule.generated_above:g}"
    yield from threshold_lines(fit.rows, fit.probability, fit.thresholds, fit)
    yield from after_lines(fit.table, fit.notes)


def member_lines(fit: Fit) -> list[str]:
    """Return a line for each member: direction, slope, and how it ranks, clean and at its worst."""
    rows = []
    for column, member in enumerate(fit.table.members):
        options = fit.parts.calibrators.get(member)
        if options is None:
            rows.append((member, "no scores", "", "", "", ""))
            continue
        ranked = _auc_by_copy(fit, column)
        worst = int(np.nanargmin(ranked)) if np.isfinite(ranked).any() else 0
        slope = getattr(options, "slope", None)
        rises = _auc(fit.rows, fit.rows.scores[:, column]) >= 0.5
        rows.append(
            (
                member,
                "rises" if rises else "falls",
                "" if slope is None else f"{slope:.4g}",
                f"{ranked[0]:.3f}",
                f"{ranked[worst]:.3f}",
                fit.table.copies[worst],
            )
        )
    return text_table(("member", "score", "slope", "AUC", "worst AUC", "under"), rows)


def copy_lines(fit: Fit) -> list[str]:
    """Return a line for each copy, and one for all of them."""
    rows, judged = fit.rows, fit.judged
    listed = []
    for number, name in enumerate((*fit.table.copies, "all")):
        kept = _copy(fit, number) if name != "all" else np.ones(len(rows), dtype=bool)
        found = figures(
            rows.labels[kept],
            judged.llr[kept],
            judged.probability[kept],
            fit.thresholds.real_below,
            fit.thresholds.generated_above,
            rows.weights[kept],
        )
        listed.append((name, *(f"{found[figure]:.3f}" for figure in SHOWN)))
    return text_table(("attack", *HEADINGS), listed)


def threshold_lines(rows: Rows, probability: Floats, thresholds: Thresholds, fit: Fit | ThresholdFit) -> Iterator[str]:
    """Yield both thresholds and the error that each admits, with intervals over components."""
    rule = fit.rule

    def drawn(index: NDArray[np.int64]) -> Sequence[float]:
        part = rows.take(index)
        again = fit_thresholds(part, probability[index], rule.false_positive_rate, rule.miss_rate)
        said = np.nan_to_num(probability[index], nan=thresholds.generated_above)
        held = rates(part.labels, said, thresholds.real_below, thresholds.generated_above, part.weights)
        return again.generated_above, again.real_below, held.false_positive, held.miss

    above, below, alarms, missed = cluster_bootstraps(drawn, rows.components, rows.labels, DRAWS)
    yield f"generated above {_written(above)}: {_percent(alarms)} of photographs are called generated"
    yield f"real below      {_written(below)}: {_percent(missed)} of generated images are called real"
    if thresholds.crossed:
        yield "both rates hold at one threshold, so no image is left inconclusive for its probability"
    yield from _too_few(rows, thresholds, fit)


def _too_few(rows: Rows, thresholds: Thresholds, fit: Fit | ThresholdFit) -> Iterator[str]:
    asked = (
        (0, "photographs", fit.rule.false_positive_rate, thresholds.generated_above >= 1, "generated"),
        (1, "generated images", fit.rule.miss_rate, thresholds.real_below <= 0, "real"),
    )
    for label, noun, rate, never, verdict in asked:
        if never:
            count = int((fit.table.labels == label).sum())
            yield (
                f"warning: {count} {noun} are too few, or too alike the others, to hold an error of {rate:.1%} "
                f"(at least {images_needed(rate)}): nothing will be called {verdict}"
            )


def head_lines(table: ScoreTable) -> Iterator[str]:
    """Yield what was scored, in one line."""
    labels = table.labels
    yield (
        f"{len(labels)} images: {int((labels == 0).sum())} real, {int((labels == 1).sum())} generated, "
        f"{len(set(table.components.tolist()))} components, each {len(table.copies)} times"
    )


def after_lines(table: ScoreTable, notes: Sequence[str]) -> Iterator[str]:
    """Yield warnings: what a user should know, and what could not be read or scored."""
    for note in notes:
        yield f"warning: {note}"
    for what, listed in (("images could not be read", table.unread), ("copies or members failed", table.failed)):
        if listed:
            first, failure = listed[0][0], listed[0][-1]
            yield f"warning: {len(listed)} {what}, such as {first}: {failure.code} {failure.message}"


def _auc_by_copy(fit: Fit, column: int) -> Floats:
    """AUC of a member's own calibrated probabilities, out of fold, so that a falling score ranks as it is used."""
    found = fit.judged.members[:, column]
    return np.array([_auc(fit.rows.take(_copy(fit, n)), found[_copy(fit, n)]) for n in range(len(fit.table.copies))])


def _auc(rows: Rows, values: Floats) -> float:
    said = np.isfinite(values)
    return roc_auc(rows.labels[said], values[said], rows.weights[said])


def _copy(fit: Fit, number: int) -> NDArray[np.bool_]:
    held: NDArray[np.bool_] = np.arange(len(fit.rows)) % len(fit.table.copies) == number
    return held


def _written(interval: Interval) -> str:
    return f"{interval.value:.4f} [{interval.low:.4f}, {interval.high:.4f}]"


def _percent(interval: Interval) -> str:
    return f"{interval.value:.1%} [{interval.low:.1%}, {interval.high:.1%}]"
