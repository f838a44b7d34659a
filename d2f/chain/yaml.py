"""A chain file's text to plain data: YAML 1.2 without aliases, tags, merge keys and further documents.

ruamel.yaml finds the tokens; data, the meaning of scalars, the place of every value and the refusals are made here, so
that an alias is never expanded, a tag never obeyed and a deeply nested file never recursed into.
"""

from __future__ import annotations

import codecs
import os
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from d2f.api.errors import D2FError, Place, Problem
from d2f.plugins.build import OptionFinding, scalar_value, spelled

Key: TypeAlias = str | int
KeyPath: TypeAlias = tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """Where a token is: `start` and `end` count characters from the beginning of the text."""

    start: int
    end: int


MAX_BYTES = 1_000_000
"""A chain file holds no more bytes than this."""

ORDER = "the chain comes first, then the images: d2f chain run CHAIN IMAGE"
"""Note for a path that is more likely an image, or a folder of them, than a chain."""


@dataclass(frozen=True)
class Text:
    """A file's text with line ends as ``\\n`` and without a byte order mark."""

    file: str
    text: str

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(index + 1 for index, character in enumerate(self.text) if character == "\n")]

    def line_of(self, index: int) -> int:
        """Return the line, from 1, of the character at `index`."""
        return bisect_right(self._starts, index)

    def place(self, span: Span, path: str = "") -> Place:
        """Return the place of a token; one of several lines is underlined to the end of its first."""
        line = self.line_of(span.start)
        start = self._starts[line - 1]
        after = self._starts[line] - 1 if line < len(self._starts) else len(self.text)
        source = self.text[start:after]
        end = min(span.end, start + len(source.rstrip()))
        return Place(self.file, line, span.start - start + 1, path, source, max(1, end - span.start))


@dataclass(frozen=True)
class ChainSource:
    """A chain file that was understood as YAML.

    `values`: the span to underline for each value, by its path; that of its key where the value itself has no token
    of its own (a block, or nothing written). `block`: whether the top is written as a block, a key a line.
    """

    text: Text
    data: dict[str, Any]
    values: dict[KeyPath, Span] = field(default_factory=dict, repr=False)
    keys: dict[KeyPath, Span] = field(default_factory=dict, repr=False)
    block: bool = True

    def value(self, path: Sequence[Key]) -> Place:
        """Return the place of the value at `path`, or of the last part of the way that exists."""
        known = tuple(path)
        while known and known not in self.values:
            known = known[:-1]
        return self.text.place(self.values[known], spelled(path))

    def key(self, path: Sequence[Key]) -> Place:
        """Return the place of the key that ends `path`, or of the last part of the way that exists."""
        span = self.keys.get(tuple(path))
        return self.value(path) if span is None else self.text.place(span, spelled(path))

    def problem(self, finding: OptionFinding, unknown: str, missing: str, value: str) -> Problem:
        """Return what is wrong with a key or a value as a problem at its place, under the code of its sort."""
        if finding.sort == "unknown":
            return Problem(unknown, f"unknown key '{finding.path[-1]}'", self.key(finding.path), notes=finding.notes)
        if finding.sort == "missing":
            notes = (finding.description,) if finding.description else ()
            place = self.value(finding.path) if len(finding.path) > 1 else Place(self.text.file)
            return Problem(missing, f"the key '{finding.path[-1]}' is missing", place, notes=notes)
        return Problem(value, f"{finding.name} {finding.message}", self.value(finding.path), notes=finding.notes)

    def without(self, *keys: str) -> ChainSource:
        """Return the file without some of its top-level keys."""
        return replace(self, data={key: value for key, value in self.data.items() if key not in keys})

    def leaves(self) -> Iterator[tuple[KeyPath, Any]]:
        """Yield every value that is no list or mapping, with its path, in the order of the file."""
        pending: list[tuple[KeyPath, Any]] = [((), self.data)]
        while pending:
            path, value = pending.pop()
            if isinstance(value, dict):
                pending += [((*path, key), inner) for key, inner in reversed(value.items())]
            elif isinstance(value, list):
                pending += [((*path, place), inner) for place, inner in reversed(list(enumerate(value)))]
            else:
                yield path, value


def read_text(path: str | Path) -> Text:
    """Read a chain file's text; a D2FError says why it cannot be read."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise _cannot_read(path, error) from error
    if len(data) > MAX_BYTES:
        raise D2FError.of("D2F108", f"'{path}' holds more than {MAX_BYTES:,} bytes: it is no chain file")
    try:
        return text_of(str(path), data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        if b"\0" in data and not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise D2FError.of("D2F108", f"'{path}' is no text, and so no chain file", ORDER) from error
        line = data[: error.start].count(b"\n") + 1
        raise D2FError.of(
            "D2F108", f"'{path}' is not UTF-8: byte 0x{data[error.start]:02x} in line {line}", "save it as UTF-8"
        ) from error


def text_of(file: str, text: str) -> Text:
    """Return `text` as read from `file`, its line ends and byte order mark brought to one form."""
    return Text(file, text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))


def _cannot_read(path: str | Path, error: OSError | ValueError) -> D2FError:
    if isinstance(error, FileNotFoundError):
        return D2FError.of("D2F108", f"there is no chain file '{path}'", *_neighbours(Path(path)))
    if os.path.isdir(path):
        found = sorted(one.name for one in Path(path).glob("*.y*ml"))[:3]
        note = f"it holds {', '.join(found)}" if found else ORDER
        return D2FError.of("D2F108", f"'{path}' is a folder, not a chain file", note)
    return D2FError.of("D2F108", f"'{path}' cannot be read: {getattr(error, 'strerror', None) or error}")


def _neighbours(path: Path) -> tuple[str, ...]:
    from d2f.api.errors import nearest

    try:
        near = nearest(path.name, sorted(one.name for one in path.parent.glob("*.y*ml")))
    except OSError:
        return ()
    return (f"did you mean '{path.parent / near}'?",) if near else ()


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
"""A part of ruamel.yaml's message, d2f's own, and the next step."""

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
    index, opened = _caret(error, message)
    if opened is not None and index is not None and not text.text[index:].strip():
        index = opened
    place = text.place(Span(index, index + 1)) if index is not None else None
    notes = [note] if note else []
    if opened is not None and place is not None and text.line_of(opened) != place.line:
        notes.insert(0, f"it begins in line {text.line_of(opened)}")
    return Problem("D2F100", message, place, notes=tuple(notes))


def _caret(error: Any, message: str) -> tuple[int | None, int | None]:
    """Return where to put the caret, and where what it ends was begun if that is worth a word."""
    stopped, begun = (getattr(getattr(error, mark, None), "index", None) for mark in ("problem_mark", "context_mark"))
    if stopped is None:
        stopped = getattr(error, "index", getattr(error, "position", None))
    if begun is not None and message in FROM_THE_START:
        return begun, None
    return stopped, begun if "not closed" in message else None


SURROGATE = re.compile("[\ud800-\udfff]")
MAX_DEPTH = 24
"""Mappings and sequences are nested no deeper than this."""

BEGIN = "a chain file begins with the line `d2f: 1`"


def parse(text: Text) -> tuple[ChainSource | None, list[Problem]]:
    """Return the data of a chain file and what is wrong with it as YAML; None where nothing can be read."""
    from ruamel.yaml.error import YAMLError, YAMLStreamError

    reader = _Reader(text)
    try:
        data, block = reader.document()
    # A number that follows % or a backslash may be any text, which ruamel lets Python's own errors say.
    except (YAMLError, YAMLStreamError, ValueError) as error:
        return None, [*reader.problems, syntax_problem(text, error)]
    if not isinstance(data, dict):
        return None, [*reader.problems, reader.no_mapping(data)]
    return ChainSource(text, data, reader.values, reader.keys, block), reader.problems


class _TooDeepError(ValueError):
    """Nesting beyond `MAX_DEPTH`, at a character."""

    def __init__(self, index: int) -> None:
        self.index = index
        super().__init__(f"nested deeper than {MAX_DEPTH} levels")


NOTHING = object()
"""Data of a text without any document."""


class _Reader:
    """Builds data from ruamel's events, and records places and refusals on the way."""

    def __init__(self, text: Text) -> None:
        self.text = text
        self.problems: list[Problem] = []
        self.values: dict[KeyPath, Span] = {}
        self.keys: dict[KeyPath, Span] = {}

    def document(self) -> tuple[Any, bool]:
        """Return the first document's data, and whether it is written as a block."""
        from ruamel.yaml import YAML

        events = YAML(typ="safe", pure=True).parse(self.text.text)
        data, block, documents = NOTHING, True, 0
        for event in events:
            if _is(event, "DocumentStart"):
                documents += 1
                if event.version or event.tags:
                    self._refuse(event, "a directive", "leave out the line that begins with %")
                if documents == 2:
                    self._refuse(event, "a second document", "one file holds one chain: leave out the line ---")
            elif not _is(event, "StreamStart", "StreamEnd", "DocumentEnd"):
                reader = self if documents == 1 else _Reader(self.text)
                found, span, bare = reader._value(event, events, ())
                if documents == 1:
                    data, block = found, bare
                    self.values[()] = span
                else:
                    self.problems += reader.problems
        return data, block

    def no_mapping(self, data: Any) -> Problem:
        """Return the problem of a file whose top is no mapping."""
        if not self.text.text.strip() or data is NOTHING:
            return Problem("D2F107", f"'{self.text.file}' is empty", notes=(BEGIN,))
        if data is None:
            return Problem("D2F107", f"'{self.text.file}' holds no chain", notes=(BEGIN,))
        what = "a list" if isinstance(data, list) else "a single value"
        place = self.text.place(self.values[()])
        return Problem("D2F107", f"the file holds {what}, not keys with values", place, notes=(BEGIN,))

    def _value(self, event: Any, events: Iterator[Any], path: KeyPath) -> tuple[Any, Span, bool]:
        """Return a value, the span to underline, and whether it has no token of its own."""
        if len(path) >= MAX_DEPTH:
            raise _TooDeepError(event.start_mark.index)
        span = Span(event.start_mark.index, event.end_mark.index)
        if _is(event, "Alias"):
            self._refuse(event, f"the alias *{event.anchor}", "write the value out")
            return None, span, False
        self._refuse_extras(event)
        if _is(event, "Scalar"):
            text = self._text(event)
            plain = event.style is None and event.ctag is None
            return scalar_value(text) if plain else text, span, span.start == span.end
        if _is(event, "SequenceStart"):
            return self._items(event, events, path)
        return self._mapping(event, events, path)

    def _text(self, event: Any) -> str:
        """Return a scalar's text; JSON writes a character beyond 16 bits as two escapes, which belong together."""
        text: str = event.value
        if not SURROGATE.search(text):
            return text
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            place = self.text.place(self._token(event))
            self.problems.append(Problem("D2F100", "an escape that is half a character", place))
            return SURROGATE.sub("\ufffd", text)

    def _items(self, start: Any, events: Iterator[Any], path: KeyPath) -> tuple[list[Any], Span, bool]:
        items: list[Any] = []
        for event in events:
            if _is(event, "SequenceEnd"):
                return items, _around(start, event), not start.flow_style
            below = (*path, len(items))
            value, self.values[below], _ = self._value(event, events, below)
            items.append(value)
        raise AssertionError("ruamel closes every sequence")

    def _mapping(self, start: Any, events: Iterator[Any], path: KeyPath) -> tuple[dict[str, Any], Span, bool]:
        found: dict[str, Any] = {}
        for event in events:
            if _is(event, "MappingEnd"):
                first = next(iter(found), None)
                block = not start.flow_style
                span = self.keys[(*path, first)] if block and first is not None else _around(start, event)
                return found, span, block
            self._pair(event, events, path, found)
        raise AssertionError("ruamel closes every mapping")

    def _pair(self, event: Any, events: Iterator[Any], path: KeyPath, found: dict[str, Any]) -> None:
        """Read a key and its value into `found`; a key that is refused or repeated leaves no place behind."""
        key, key_span, _ = self._value(event, events, (*path, "?"))
        refused = True
        if _is(event, "Alias"):
            pass
        elif isinstance(key, list | dict):
            self._refuse(event, "a list or mapping as a key", "a key is a word")
        elif event.value == "<<" and event.style is None:
            self._refuse(event, "the merge key <<", "write the keys out")
        else:
            refused = False
        name = "" if refused else self._text(event)
        if refused or name in found:
            ignored = _Reader(self.text)
            ignored._value(next(events), events, (*path, name))
            self.problems += ignored.problems
            if not refused:
                self._refuse_twice(name, self.keys[(*path, name)], key_span)
            return
        self.keys[(*path, name)] = key_span
        found[name], span, bare = self._value(next(events), events, (*path, name))
        self.values[(*path, name)] = key_span if bare else span

    def _refuse_twice(self, name: str, first: Span, again: Span) -> None:
        lines = self.text.line_of(first.start), self.text.line_of(again.start)
        where = (
            f"twice in line {lines[0]}" if lines[0] == lines[1] else f"in line {lines[0]} and again in line {lines[1]}"
        )
        place = self.text.place(again)
        self.problems.append(Problem("D2F101", f"the key {name!r} stands {where}", place, notes=("keep one",)))

    def _refuse_extras(self, event: Any) -> None:
        if event.anchor:
            self._refuse(event, f"the anchor &{event.anchor}", "write the value out where it is needed")
        if event.tag is not None:
            word = self._word(event)
            tag = word if word.startswith("!") else event.tag
            self._refuse(event, f"the tag {tag}", "leave it out: what a value means follows from its key")

    def _refuse(self, event: Any, what: str, note: str) -> None:
        place = self.text.place(self._token(event))
        self.problems.append(Problem("D2F102", f"{what} is not part of a chain file", place, notes=(note,)))

    def _token(self, event: Any) -> Span:
        start = event.start_mark.index
        return Span(start, start + max(1, len(self._word(event))))

    def _word(self, event: Any) -> str:
        """Return the word that an event starts with."""
        start = event.start_mark.index
        words: list[str] = self.text.text[start : start + 80].split(maxsplit=1)[:1]
        return words[0].rstrip(",]}:") if words else ""


def _is(event: Any, *names: str) -> bool:
    return type(event).__name__.removesuffix("Event") in names


def _around(start: Any, end: Any) -> Span:
    first = start.start_mark.index
    return Span(first, end.end_mark.index if start.flow_style else first + 1)
