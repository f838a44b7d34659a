"""A SPEC taken apart: ``wiener:window=7+noise:2`` as pieces that remember where they stand.

Steps are joined by ``+``; a step is ``name`` or ``name:options``; options are joined by ``,`` and read ``key=value``,
where the first may leave its key out. Separators inside brackets and quotes are text, and so is the sign of
an exponent (``1e+3``). Nothing of it needs quoting in a shell, but for a text in quotes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from d2f.api.errors import D2FError, Place, Problem

KEY = re.compile(r"([A-Za-z_][\w-]*)\s*=")
OPENING, CLOSING, QUOTES = "[{", "]}", "\"'"
BEFORE_QUOTE = "=:,+[{ "
ANOTHER_STEP = re.compile(r"[a-z][a-z0-9-]*:")


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a SPEC: `text`, which begins at character `start`."""

    start: int
    text: str

    def cut(self, first: int, last: int | None = None) -> Piece:
        """Return a part of this piece without the blanks around it."""
        part = self.text[first:last]
        bare = part.strip()
        return Piece(self.start + first + part.index(bare), bare)


@dataclass(frozen=True, slots=True)
class OptionText:
    """``key=value``; `key` is None where only the value is written."""

    key: Piece | None
    value: Piece


@dataclass(frozen=True, slots=True)
class StepText:
    """``name:options``."""

    name: Piece
    options: tuple[OptionText, ...] = ()


@dataclass(frozen=True, slots=True)
class SpecText:
    """A SPEC and what to call it in errors.

    Parameters
    ----------
    text : str
        As the user wrote it.
    origin : str
        The argument that it came from.
    """

    text: str
    origin: str = "SPEC"

    def place(self, piece: Piece) -> Place:
        """Return where a piece stands."""
        line = " ".join(self.text.splitlines())
        return Place(self.origin, 1, piece.start + 1, source=line, width=max(1, len(piece.text)))

    def error(self, piece: Piece, message: str, label: str = "", *notes: str) -> D2FError:
        """Return an error of the SPEC's grammar, D2F001."""
        return D2FError(Problem("D2F001", message, self.place(piece), label, notes))

    def steps(self) -> list[Piece]:
        """Return the texts of the steps, in order."""
        return self._split(Piece(0, self.text), "+")

    def step(self, piece: Piece) -> StepText:
        """Take one step apart.

        Raises
        ------
        D2FError
            D2F001: nothing is written where a step or an option belongs.
        """
        name, colon, _ = piece.text.partition(":")
        if not name.strip():
            raise self.error(piece, "a step is missing", "", "steps are joined by +: wiener:window=7+noise:sigma=2")
        found = StepText(piece.cut(0, len(name)))
        if not colon:
            return found
        options = self._split(piece.cut(len(name) + 1), ",")
        return StepText(found.name, tuple(self._option(one, index) for index, one in enumerate(options)))

    def _option(self, piece: Piece, index: int) -> OptionText:
        keyed = KEY.match(piece.text)
        if keyed:
            return OptionText(piece.cut(0, keyed.end(1)), piece.cut(keyed.end()))
        if not piece.text:
            raise self.error(
                piece, "an option is missing", "", "options are joined by commas: jpeg:quality=60,subsampling=4:4:4"
            )
        if index == 0:
            return OptionText(None, piece)
        note = "options read key=value; only the first may leave its key out"
        if ANOTHER_STEP.match(piece.text):
            note = f"steps are joined by +, not by a comma: …+{piece.text}"
        raise self.error(piece, f"option '{piece.text}' has no key", "", note)

    def _split(self, piece: Piece, separator: str) -> list[Piece]:
        try:
            return [piece.cut(first, last) for first, last in parts(piece.text, separator)]
        except ValueError as error:
            raise self.error(piece, str(error)) from error


def parts(text: str, separator: str) -> list[tuple[int, int]]:
    """Return where the parts of a text begin and end that a separator outside brackets and quotes parts.

    Raises
    ------
    ValueError
        A bracket or a quote is not closed.

    Examples
    --------
    >>> text = "a=[1,2],b='x,y'"
    >>> [text[first:last] for first, last in parts(text, ",")]
    ['a=[1,2]', "b='x,y'"]
    """
    found, start, index = [], 0, 0
    depth = 0
    while index < len(text):
        character = text[index]
        if character in QUOTES and (index == 0 or text[index - 1] in BEFORE_QUOTE):
            index = _end_of_quote(text, index)
        elif character in OPENING:
            depth += 1
        elif character in CLOSING:
            depth -= 1
        elif character == separator and depth == 0 and not _is_exponent(text, index):
            found.append((start, index))
            start = index + 1
        if depth < 0:
            raise ValueError("a bracket is closed that was not opened")
        index += 1
    if depth > 0:
        raise ValueError("a bracket is not closed")
    return [*found, (start, len(text))]


def _end_of_quote(text: str, start: int) -> int:
    """Return where the quote that opens at `start` closes."""
    pattern = r'"(?:[^"\\]|\\.)*"' if text[start] == '"' else r"'(?:[^']|'')*'"
    closed = re.compile(pattern, re.DOTALL).match(text, start)
    if closed is None:
        raise ValueError("a quote is not closed")
    return closed.end() - 1


def _is_exponent(text: str, index: int) -> bool:
    return re.search(r"[0-9.][eE]$", text[:index]) is not None and text[index + 1 : index + 2].isdigit()
