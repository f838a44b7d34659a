"""The distribution of labels and generators before and after balancing, drawn."""

from __future__ import annotations

import os
from typing import Any

from d2f.api.errors import D2FError
from d2f.data.dataset import GENERATED
from d2f.data.stats import Counts, Stats

TOP = 15
"""Generators that are drawn; the others are summed up in one bar."""

_BEFORE, _AFTER = "#9aa5b1", "#2f6f9f"


def plot_stats(found: Stats, path: str | os.PathLike[str]) -> None:
    """Draw the numbers of images by label and by generator, before and after balancing, as PNG."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise D2FError.of("D2F206", "plots need matplotlib", "to install it: pip install 'd2f[train]'") from None
    generators = _generators(found)
    figure = Figure(figsize=(10, 2.5 + 0.3 * len(generators)), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, height_ratios=[2, max(1, len(generators))])
    labels = zip(("real", "generated"), found.labels, found.balanced, strict=True)
    _bars(upper, [(name, before, after) for name, before, after in labels], "label")
    _bars(lower, generators, "generator")
    upper.legend(loc="lower right")
    lower.set_xlabel("images")
    try:
        figure.savefig(path, format="png", dpi=120)
    except OSError as error:
        raise D2FError.of("D2F004", f"'{path}' cannot be written: {error.strerror}") from error


def _generators(found: Stats) -> list[tuple[str, int, int]]:
    before, after = found.counts["generator"], found.balanced_generators
    names = list(before)[:TOP]
    rows = [(name, before[name][GENERATED], after.get(name, (0, 0))[GENERATED]) for name in names]
    if len(before) > TOP:
        rest = (_sum(before) - sum(row[1] for row in rows), _sum(after) - sum(row[2] for row in rows))
        rows.append((f"{len(before) - TOP} others", *rest))
    return rows


def _sum(counts: Counts) -> int:
    return sum(pair[GENERATED] for pair in counts.values())


def _bars(axes: Any, rows: list[tuple[str, int, int]], title: str) -> None:
    places = range(len(rows))
    axes.barh([place - 0.2 for place in places], [row[1] for row in rows], 0.4, color=_BEFORE, label="as found")
    axes.barh([place + 0.2 for place in places], [row[2] for row in rows], 0.4, color=_AFTER, label="after balancing")
    axes.set_yticks(list(places), [row[0] for row in rows])
    axes.invert_yaxis()
    axes.set_title(title, loc="left")
