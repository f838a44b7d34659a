"""Tables as text, Markdown and HTML; numbers and plain data as reports write them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

Bounded = Sequence[float | None]
"""A value and the ends of its interval; None where there is none."""


@dataclass(frozen=True)
class Table:
    """A table: its title, headings and rows; the first column is text, the others are numbers."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def text(self) -> list[str]:
        """Return lines for a terminal."""
        return text_table(self.headings, self.rows)

    def markdown(self) -> list[str]:
        """Return lines of Markdown, without the title."""
        return markdown_table(self.headings, self.rows)

    def html(self, mark: str = "h2") -> str:
        """Return HTML with the title in a heading; nothing where there are no rows."""
        if not self.rows:
            return ""
        head = "".join(f"<th>{escape(one)}</th>" for one in self.headings)
        rows = "".join("<tr>" + "".join(f"<td>{escape(one)}</td>" for one in row) + "</tr>" for row in self.rows)
        return (
            f'<{mark}>{escape(capitalised(self.title))}</{mark}><div class="wide"><table><thead><tr>{head}</tr></thead>'
            f"<tbody>{rows}</tbody></table></div>"
        )


def text_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table: the first column flush left, the others flush right.

    >>> text_table(["attack", "AUC"], [["none", "0.91"], ["jpeg", "0.8"]])
    ['attack   AUC', 'none    0.91', 'jpeg     0.8']
    """
    table = [list(headings), *map(list, rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(headings))]
    return [
        "  ".join(
            one.ljust(width) if column == 0 else one.rjust(width)
            for column, (one, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table, all columns but the first flush right."""
    rules = "|" + "|".join("---" if not column else "--:" for column in range(len(headings))) + "|"
    lines = ["| " + " | ".join(one.replace("|", "\\|") for one in row) + " |" for row in (headings, *rows)]
    return [lines[0], rules, *lines[1:]]


def number(value: float | None) -> str:
    """Three decimals; nothing where there is no number."""
    return "" if value is None else f"{value:.3f}"


def with_bounds(found: Bounded) -> str:
    """A value and its bounds, such as ``0.871 [0.812, 0.915]``."""
    return f"{number(found[0])} {bounds(found)}".rstrip()


def bounds(found: Bounded) -> str:
    """The bounds alone."""
    return "" if found[1] is None else f"[{number(found[1])}, {number(found[2])}]"


def capitalised(words: str) -> str:
    """Return words with a capital first letter, the others as they are."""
    return words[:1].upper() + words[1:]


def failures(what: str, count: int, first: Sequence[str]) -> Iterator[str]:
    """Yield a warning of things that failed: how many, and the first one's path, code and message."""
    if count:
        yield f"warning: {count} {what}, such as {first[0]}: {first[-2]} {first[-1]}"


def plain(value: Any) -> Any:
    """Return data that JSON holds: no NaN, numbers of at most 6 decimals.

    >>> plain({"a": (float("nan"), 1 / 3)})
    {'a': [None, 0.333333]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
