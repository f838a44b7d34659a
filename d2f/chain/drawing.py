"""Lines of styled text, and tables of them: what a drawing for the terminal is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Ink:
    """A piece of text in one style, such as ``bold`` or ``dim``; a drawing without colour leaves the style out."""

    text: str
    style: str = ""


Line: TypeAlias = tuple[Ink, ...]


def line(*pieces: str | Ink) -> Line:
    """Return a line of pieces, strings being without style."""
    return tuple(Ink(piece) if isinstance(piece, str) else piece for piece in pieces)


def plain(lines: Sequence[Line]) -> str:
    """Return lines as text without style."""
    return "\n".join("".join(ink.text for ink in one).rstrip() for one in lines)


def width(one: Line) -> int:
    """Return how many characters a line has."""
    return sum(len(ink.text) for ink in one)


def table(rows: Sequence[Sequence[Sequence[Line]]], indent: int = 2, gap: int = 3) -> list[Line]:
    """Return a table whose cells are lists of lines, its columns as wide as their widest line.

    Parameters
    ----------
    rows : sequence of rows, a row a sequence of cells, a cell a sequence of lines
    indent, gap : int
        Blanks before the first column, and between columns.
    """
    columns = [max((width(one) for row in rows for one in row[index]), default=0) for index in range(len(rows[0]))]
    drawn = []
    for row in rows:
        for pieces in zip_longest(*row, fillvalue=()):
            inks: list[Ink] = [Ink(" " * indent)]
            for piece, wide in zip(pieces, columns, strict=True):
                inks += [*piece, Ink(" " * (wide - width(piece) + gap))]
            drawn.append(tuple(inks))
    return drawn
