"""What YAML's parser stumbled over, in a sentence for the person who wrote the file."""

from __future__ import annotations

from typing import Any

from d2f.api.errors import Problem
from d2f.chain.nodes import Span
from d2f.chain.source import Text

INDENT = "YAML is indented with blanks, the same number for keys that belong together"

SENTENCES: tuple[tuple[str, str, str], ...] = (
    (r"character '\t'", "a tab stands where only blanks may stand", INDENT),
    ("cannot start any token", "a text cannot begin with this character", "put the text in quotes"),
    ("mapping values are not allowed", "a colon stands where no key can", f"put the text in quotes, or: {INDENT}"),
    ("could not find expected ':'", "a key without a colon", "write `key: value`"),
    ("expected ',' or ']'", "a list is not closed", "put , between its values and ] at its end"),
    ("expected ',' or '}'", "a mapping is not closed", "put , between its keys and } at its end"),
    ("unexpected end of stream", "a quote is not closed", "put the same quote at the end of the text"),
    ("unexpected document separator", "a quote is not closed", "put the same quote at the end of the text"),
    ("expected <block end>", "this does not fit what stands above it", INDENT),
    ("expected the node content", "a value is missing", "write it, or leave out the line"),
    ("expected '<document start>'", "this stands after the end of the chain", "look for one bracket too many"),
    ("unknown escape character", "a backslash that means nothing", r"write \\, or use single quotes"),
)
"""What ruamel.yaml says (a part of it), what d2f says, and the next step."""

FROM_THE_START = ("a quote is not closed", "a key without a colon")
"""Problems that are better shown where they begin than where the parser gave up."""


def syntax_problem(text: Text, error: Exception) -> Problem:
    """Return the problem that stopped the parser, located."""
    said = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error)
    character = getattr(error, "character", None)
    if character is not None:
        code = character if isinstance(character, int) else ord(character)
        message, note = f"the character U+{code:04X} cannot stand in a chain file", "delete it"
    else:
        message, note = next(((plain, step) for part, plain, step in SENTENCES if part in said), (said, ""))
    index, opened = _where(error, message)
    if opened is not None and index is not None and not text.text[index:].strip():
        index = opened
    place = text.place(Span(index, index + 1)) if index is not None else None
    notes = [note] if note else []
    if opened is not None and place is not None and text.line_of(opened) != place.line:
        notes.insert(0, f"it begins in line {text.line_of(opened)}")
    return Problem("D2F100", message, place, notes=tuple(notes))


def _where(error: Any, message: str) -> tuple[int | None, int | None]:
    """Return where to put the caret, and where what it ends was begun if that is worth a word."""
    stopped = _index(getattr(error, "problem_mark", None))
    begun = _index(getattr(error, "context_mark", None))
    if stopped is None:
        stopped = getattr(error, "index", getattr(error, "position", None))
    if begun is not None and message in FROM_THE_START:
        return begun, None
    return stopped, begun if "not closed" in message else None


def _index(mark: Any) -> int | None:
    return mark.index if mark is not None else None
