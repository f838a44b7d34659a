"""Figures as text."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table, Markdown."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def spread(values: Sequence[float]) -> str:
    """Return the median, with the quartiles where there are three values or more."""
    if len(values) < 3:
        return f"{statistics.median(values):.2f}"
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:.2f} ({low:.2f}–{high:.2f})"


def ms(times: Mapping[str, Sequence[float]]) -> str:
    """Return the median processor time in milliseconds."""
    value = 1000 * statistics.median(times["cpu"])
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"
