"""A table in plain text, for terminals and for Markdown's code blocks."""

from __future__ import annotations

from collections.abc import Sequence


def text_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table: the first column flush left, the others flush right.

    >>> text_table(["attack", "AUC"], [["none", "0.91"], ["jpeg", "0.8"]])
    ['attack   AUC', 'none    0.91', 'jpeg     0.8']
    """
    table = [list(headings), *map(list, rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(headings))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]
