"""One line of a text as an error shows it: clipped around the caret, safe to print, the caret under its token."""

from __future__ import annotations

import unicodedata

LIMIT = 100
"""A line of more characters is clipped."""

BEFORE = 40
"""How many characters stay in front of the caret of a clipped line."""


def excerpt(source: str, column: int, width: int) -> tuple[str, str]:
    """Return a line and the carets below it.

    Parameters
    ----------
    source : str
        The whole line.
    column : int
        Where the token begins, from 1.
    width : int
        How many characters it has.

    Examples
    --------
    >>> print("\\n".join(excerpt("use: nosie", 6, 5)))
    use: nosie
         ^^^^^
    """
    start = column - 1
    source = "".join(_printable(character) for character in source)
    if len(source) > LIMIT:
        first = max(0, min(start - BEFORE, len(source) - LIMIT))
        head = "…" if first else ""
        tail = "…" if first + LIMIT < len(source) else ""
        source = f"{head}{source[first : first + LIMIT]}{tail}"
        start = start - first + len(head)
        width = min(width, len(source) - len(tail) - start)
    token = source[start : start + width]
    return source, " " * _columns(source[:start]) + "^" * max(1, _columns(token))


def _printable(character: str) -> str:
    # A tab would shift the caret, an escape would speak to the terminal.
    if character == "\t":
        return " "
    return character if character.isprintable() else "\ufffd"


def _columns(text: str) -> int:
    """Return how many columns of a terminal `text` fills: wide letters two, combining marks none."""
    return sum(
        0 if unicodedata.combining(character) else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )
