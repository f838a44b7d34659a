"""A fit's report, in lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from d2f.api.inputs import Floats
from d2f.evaluate.fit import Fit, ThresholdFit
from d2f.evaluate.parts import FitRows, fit_thresholds, images_needed
from d2f.evaluate.score import ScoreTable
from d2f.metrics import Interval, cluster_bootstraps, roc_auc
from d2f.metrics.figures import FIGURES, figures, too_few, verdicts_of
from d2f.metrics.ranking import rates
from d2f.report.tables import failures, number, text_table

SHOWN = ("auc", "balanced_accuracy", "ece", "tpr_at_5", "true_positive", "false_positive", "miss", "inconclusive")
DRAWS_OF_THRESHOLDS = 300


def fit_lines(fit: Fit) -> Iterator[str]:
    """Yield the report of a whole fit; every figure is out of fold."""
    yield from head_lines(fit.table)
    yield ""
    yield from member_lines(fit)
    yield ""
    yield "the chain, out of fold, by attack"
    yield from copy_lines(fit)
    yield ""
    yield from threshold_lines(fit)
    yield from judgement_lines(fit)
    yield from after_lines(fit.table, fit.notes)


def threshold_fit_lines(fit: ThresholdFit) -> Iterator[str]:
    """Yield the report of a fit of thresholds alone."""
    yield from head_lines(fit.table)
    found = _row_figures(fit, np.ones(len(fit.rows), dtype=bool))
    yield f"the chain on them: AUC {found['auc']:.3f}, balanced accuracy {found['balanced_accuracy']:.3f}"
    yield f"thresholds before: real below {fit.rule.real_below:g}, generated above {fit.rule.generated_above:g}"
    yield from threshold_lines(fit)
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
    listed = []
    for place, name in enumerate((*fit.table.copies, "all")):
        kept = np.ones(len(fit.rows), dtype=bool) if name == "all" else _copy(fit, place)
        found = _row_figures(fit, kept)
        listed.append((name, *(number(found[figure]) for figure in SHOWN)))
    return text_table(("attack", *(FIGURES[figure].heading for figure in SHOWN)), listed)


def _row_figures(fit: ThresholdFit, kept: NDArray[np.bool_]) -> dict[str, float | None]:
    """Figures of some rows at the thresholds that were found; None where one is not defined."""
    probability = np.where(np.isnan(fit.probability), fit.thresholds.generated_above, fit.probability)[kept]
    verdicts = verdicts_of(probability, fit.thresholds.real_below, fit.thresholds.generated_above)
    found = figures(fit.rows.labels[kept], fit.llr[kept], verdicts, fit.rows.weights[kept][None])
    return {name: None if np.isnan(values[0]) else float(values[0]) for name, values in found.items()}


def threshold_intervals(fit: ThresholdFit) -> tuple[Interval, ...]:
    """Return `generated_above`, `real_below`, false alarms and misses, each with its interval over components.

    Errors are those of a draw at the thresholds that the draw before it gives, so that the bounds hold for others:
    at thresholds that were fitted to the same images, the error is the one that was asked for.
    """
    rule, rows, probability = fit.rule, fit.rows, fit.probability
    before = fit.thresholds

    def drawn(index: NDArray[np.int64]) -> Sequence[float]:
        nonlocal before
        part = rows.take(index)
        again = fit_thresholds(part, probability[index], rule.false_positive_rate, rule.miss_rate)
        known = np.nan_to_num(probability[index], nan=fit.thresholds.generated_above)
        held = rates(part.labels, known, before.real_below, before.generated_above, part.weights)
        before = again
        return again.generated_above, again.real_below, held.false_positive, held.miss

    return cluster_bootstraps(drawn, rows.components, rows.labels, DRAWS_OF_THRESHOLDS)


def threshold_lines(fit: ThresholdFit) -> Iterator[str]:
    """Yield both thresholds and the error that each admits, with intervals over components."""
    rule, thresholds = fit.rule, fit.thresholds
    above, below, alarms, missed = threshold_intervals(fit)
    yield f"generated above {_written(above)}: {_percent(alarms)} of photographs are called generated"
    yield f"real below      {_written(below)}: {_percent(missed)} of generated images are called real"
    if thresholds.crossed:
        yield "both rates hold at one threshold, so no image is left inconclusive for its probability"
    if fit.stability is not None:
        found = fit.stability
        yield (
            f"small changes     turn {found.turned:.1%} of {found.decided} verdicts; within {found.within:g} nats of a "
            f"threshold, which {found.tried:.1%} are, {found.found:.1%}: those become inconclusive"
        )
    errors = (
        (0, "photographs", rule.false_positive_rate, thresholds.generated_above >= 1, "generated"),
        (1, "generated images", rule.miss_rate, thresholds.real_below <= 0, "real"),
    )
    for label, noun, rate, never, verdict in errors:
        if never:
            count = int((fit.table.labels == label).sum())
            yield (
                f"warning: {count} {noun} are too few, or too alike the others, to hold an error of {rate:.1%} "
                f"(at least {images_needed(rate)}): nothing will be called {verdict}"
            )


CHANCE, BETTER = 0.5, 0.02
"""An AUC whose interval reaches `CHANCE` shows nothing; a member that outranks its chain by `BETTER` is reported."""


def judgement_lines(fit: Fit) -> Iterator[str]:
    """Yield what a fit finds wrong with its own result: chance, a member that beats the chain, few images, refusals."""
    clean = _copy(fit, 0)
    rows, llr = fit.rows.take(clean), np.nan_to_num(fit.llr[clean], nan=0.0)

    def drawn(index: NDArray[np.int64]) -> Sequence[float]:
        part = rows.take(index)
        return [roc_auc(part.labels, llr[index], part.weights)]

    (auc,) = cluster_bootstraps(drawn, rows.components, rows.labels, DRAWS_OF_THRESHOLDS)
    if not auc.low > CHANCE:
        yield f"warning: out of fold the chain's AUC is {auc}: no better than chance, so its verdicts mean nothing"
    alone = {member: _auc_by_copy(fit, column)[0] for column, member in enumerate(fit.table.members)}
    best = max((member for member in alone if np.isfinite(alone[member])), key=lambda one: alone[one], default=None)
    if best is not None and alone[best] > auc.value + BETTER:
        yield f"warning: {best} alone ranks better (AUC {alone[best]:.3f}) than the chain ({auc.value:.3f})"
    yield from (f"warning: {sentence}" for sentence in too_few(fit.table.labels, SHOWN))
    if fit.table.refused is not None and fit.table.refused.any():
        share = fit.table.refused.mean(axis=0)
        worst = int(share.argmax())
        yield (
            f"preconditions refuse {share[0]:.1%} of the images, {share[worst]:.1%} under {fit.table.copies[worst]}; "
            "those count as inconclusive"
        )


def head_lines(table: ScoreTable) -> Iterator[str]:
    """Yield what was scored, in one line."""
    real, generated = table.images.label_counts
    yield (
        f"{len(table.images)} images: {real} real, {generated} generated, "
        f"{len(set(table.components.tolist()))} components, each {len(table.copies)} times"
    )


def after_lines(table: ScoreTable, notes: Sequence[str]) -> Iterator[str]:
    """Yield warnings: what a user should know, and what could not be read or scored."""
    for note in notes:
        yield f"warning: {note}"
    yield from failure_lines(table)


def failure_lines(table: ScoreTable) -> Iterator[str]:
    """Yield warnings of members that scored nothing and of images, copies and members that failed."""
    silent = [name for place, name in enumerate(table.members) if np.isnan(table.scores[:, :, place]).all()]
    if silent:
        yield f"warning: {', '.join(silent)} scored no image: every figure is of the other members alone"
    for what, listed in (("images could not be read", table.unread), ("copies or members failed", table.failed)):
        if listed:
            yield from failures(what, len(listed), (listed[0][0], listed[0][-1].code, listed[0][-1].message))


def _auc_by_copy(fit: Fit, column: int) -> Floats:
    """AUC of a member's own calibrated probabilities, out of fold, so that a falling score ranks as it is used."""
    found = fit.judged.members[:, column]
    return np.array([_auc(fit.rows.take(_copy(fit, n)), found[_copy(fit, n)]) for n in range(len(fit.table.copies))])


def _auc(rows: FitRows, values: Floats) -> float:
    known = np.isfinite(values)
    return float(roc_auc(rows.labels[known], values[known], rows.weights[known]))


def _copy(fit: ThresholdFit, number: int) -> NDArray[np.bool_]:
    held: NDArray[np.bool_] = np.arange(len(fit.rows)) % len(fit.table.copies) == number
    return held


def _written(interval: Interval) -> str:
    return f"{interval.value:.4f} [{interval.low:.4f}, {interval.high:.4f}]"


def _percent(interval: Interval) -> str:
    return f"{interval.value:.1%} [{interval.low:.1%}, {interval.high:.1%}]"
