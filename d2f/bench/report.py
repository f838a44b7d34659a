"""The bench's report for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from d2f.bench.judged_set import JudgedSet
from d2f.bench.summary import DRAWS, FEWEST, CollectionFigures, by_collection, overall
from d2f.measure import Interval
from d2f.scoring.figures import TITLES
from d2f.scoring.text_table import text_table

BRIEF = ("auc", "balanced_accuracy", "tpr_at_5", "true_positive", "false_positive", "inconclusive", "ece")


def bench_lines(judged: JudgedSet, draws: int = DRAWS) -> Iterator[str]:
    """Yield everything that is said of one chain; `draws` is the bootstrap's."""
    labels = judged.labels
    yield f"chain {judged.chain}, digest {judged.digest[:12]}, protocol {judged.protocol}"
    yield (
        f"{len(labels)} images: {int((labels == 0).sum())} real, {int((labels == 1).sum())} generated, "
        f"{len(set(judged.table.components.tolist()))} components; 95 % intervals draw components"
    )
    yield f"verdicts: real below {judged.real_below:g}, generated above {judged.generated_above:g}"
    yield ""
    found = overall(judged, draws=draws)
    yield from text_table(("figure", "value", "interval"), [(TITLES[name], *_parts(found[name])) for name in TITLES])
    if len(judged.table.copies) > 1:
        yield ""
        yield from _attack_lines(judged, draws)
    yield ""
    yield from _collection_lines(judged, draws)
    yield from _failure_lines(judged)


def _attack_lines(judged: JudgedSet, draws: int) -> list[str]:
    rows = []
    for copy, name in enumerate(judged.table.copies):
        found = overall(judged, copy, draws)
        rows.append((name, str(found["auc"]), *(f"{found[figure].value:.3f}" for figure in BRIEF[1:])))
    headings = ("attack", "AUC", "bal. acc.", "TPR@5%", "gen. found", "false alarms", "inconcl.", "ECE")
    return text_table(headings, rows)


def _collection_lines(judged: JudgedSet, draws: int) -> Iterator[str]:
    listed = by_collection(judged, draws=draws)
    if not listed:
        return
    headings = ("collection", "real", "generated", "AUC", "interval", "false alarms", "gen. found")
    both = [one for one in listed if one.two_class]
    if both:
        yield "collections of both classes"
        yield from text_table(headings, [_row(one) for one in both])
        yield ""
    single = [one for one in listed if not one.two_class]
    if single:
        yield "collections of one class, against all images of the other"
        yield from text_table(headings, [_row(one) for one in single])
    left = len(judged.table.images.collections) - len(listed)
    if left:
        yield f"and {left} of fewer than {FEWEST} images"


def _row(one: CollectionFigures) -> tuple[str, ...]:
    return (
        one.name,
        str(one.real),
        str(one.generated),
        *_parts(one.auc),
        _share(one.false_positive),
        _share(one.true_positive),
    )


def _failure_lines(judged: JudgedSet) -> Iterator[str]:
    table = judged.table
    for what, listed in (("images could not be read", table.unread), ("copies or cells failed", table.failed)):
        if listed:
            first, failure = listed[0][0], listed[0][-1]
            yield f"warning: {len(listed)} {what}, such as {first}: {failure.code} {failure.message}"


def _parts(interval: Interval) -> tuple[str, str]:
    return _share(interval.value), "" if np.isnan(interval.low) else f"[{interval.low:.3f}, {interval.high:.3f}]"


def _share(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.3f}"
