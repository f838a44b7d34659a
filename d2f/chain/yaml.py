"""Text to nodes: YAML 1.2 without what a chain file has no use for.

ruamel.yaml finds the tokens; the tree, the meaning of scalars and the refusals are made here, so that an
alias is never expanded, a tag never obeyed and a deeply nested file never recursed into.
"""

from __future__ import annotations

import codecs
import os
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from d2f.api.errors import D2FError, Place, Problem
from d2f.plugins.describe import Value, resolve

Key: TypeAlias = str | int


@dataclass(frozen=True, slots=True)
class Span:
    """Where a token stands: `start` and `end` count characters from the beginning of the text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text, number, truth value or nothing."""

    span: Span
    value: Value

    @property
    def data(self) -> Any:
        """The value as plain data."""
        return self.value

    @property
    def bare(self) -> bool:
        """Whether nothing is written, so that there is nothing to underline."""
        return self.span.start == self.span.end


@dataclass(frozen=True, slots=True)
class Items:
    """A sequence; `bare` where it is written as a block, which has no token of its own to underline."""

    span: Span
    items: list[Node] = field(default_factory=list)
    bare: bool = False

    @property
    def data(self) -> list[Any]:
        """The value as plain data."""
        return [item.data for item in self.items]


@dataclass(frozen=True, slots=True)
class Pair:
    """A key, where it stands, and its value."""

    key: str
    span: Span
    value: Node


@dataclass(frozen=True, slots=True)
class Pairs:
    """A mapping, in the order of the file; `bare` as in `Items`."""

    span: Span
    pairs: dict[str, Pair] = field(default_factory=dict)
    bare: bool = False

    @property
    def data(self) -> dict[str, Any]:
        """The value as plain data."""
        return {key: pair.value.data for key, pair in self.pairs.items()}

    def get(self, key: str) -> Node | None:
        """Return the value of `key`, None where it is not there."""
        pair = self.pairs.get(key)
        return pair.value if pair else None


Node: TypeAlias = Scalar | Items | Pairs


def child(node: Node, key: Key) -> Node | None:
    """Return what `key` leads to from `node`, None where it leads nowhere."""
    if isinstance(node, Pairs) and isinstance(key, str):
        return node.get(key)
    if isinstance(node, Items) and isinstance(key, int) and 0 <= key < len(node.items):
        return node.items[key]
    return None


def dotted(path: Sequence[Key]) -> str:
    """Return a path as it is printed.

    >>> dotted(("detectors", 2, "with", "window"))
    'detectors[2].with.window'
    """
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).lstrip(".")


def walk(node: Node, path: tuple[Key, ...] = ()) -> Iterator[tuple[tuple[Key, ...], Scalar]]:
    """Yield every scalar below `node` with its path, in the order of the file."""
    if isinstance(node, Scalar):
        yield path, node
    elif isinstance(node, Items):
        for index, item in enumerate(node.items):
            yield from walk(item, (*path, index))
    else:
        for key, pair in node.pairs.items():
            yield from walk(pair.value, (*path, key))


MAX_BYTES = 1_000_000
"""A chain file holds no more bytes than this."""

ORDER = "the chain comes first, then the images: d2f chain run CHAIN IMAGE"
"""Said of what is more likely an image, or a folder of them, than a chain."""


@dataclass(frozen=True)
class Text:
    """A file's text with line ends as ``\\n`` and without a byte order mark.

    Parameters
    ----------
    file : str
        Its path as the user wrote it.
    text : str
        What it holds.
    """

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
class Source:
    """A chain file that was understood as YAML."""

    text: Text
    root: Pairs

    def value(self, path: Sequence[Key]) -> Place:
        """Return the place of the value at `path`, or of the last part of the way that is there."""
        return self._place(path, key=False)

    def key(self, path: Sequence[Key]) -> Place:
        """Return the place of the key that ends `path`, or of the last part of the way that is there."""
        return self._place(path, key=True)

    def node(self, path: Sequence[Key]) -> Node | None:
        """Return the value at `path`, None where nothing is."""
        node: Node | None = self.root
        for key in path:
            node = child(node, key) if node is not None else None
        return node

    def _place(self, path: Sequence[Key], key: bool) -> Place:
        node: Node = self.root
        span = self.root.span
        for depth, part in enumerate(path, 1):
            below = child(node, part)
            if below is None:
                break
            span = below.span
            if isinstance(node, Pairs) and (below.bare or (key and depth == len(path))):
                span = node.pairs[str(part)].span
            node = below
        return self.text.place(span, dotted(path))


def read_text(path: str | Path) -> Text:
    """Read a chain file's text; a D2FError says why it cannot be read."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if len(data) > MAX_BYTES:
        raise D2FError.of("D2F108", f"'{path}' holds more than {MAX_BYTES:,} bytes: it is no chain file")
    try:
        return as_text(str(path), data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        if b"\0" in data and not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise D2FError.of("D2F108", f"'{path}' is no text, and so no chain file", ORDER) from error
        line = data[: error.start].count(b"\n") + 1
        raise D2FError.of(
            "D2F108", f"'{path}' is not UTF-8: byte 0x{data[error.start]:02x} in line {line}", "save it as UTF-8"
        ) from error


def as_text(file: str, text: str) -> Text:
    """Return `text` as read from `file`, its line ends and byte order mark brought to one form."""
    return Text(file, text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))


def _unreadable(path: str | Path, error: OSError | ValueError) -> D2FError:
    if isinstance(error, FileNotFoundError):
        return D2FError.of("D2F108", f"there is no chain file '{path}'", *_neighbours(Path(path)))
    if os.path.isdir(path):
        return D2FError.of("D2F108", f"'{path}' is a folder, not a chain file", *_inside(Path(path)))
    return D2FError.of("D2F108", f"'{path}' cannot be read: {getattr(error, 'strerror', None) or error}")


def _neighbours(path: Path) -> tuple[str, ...]:
    from d2f.api.errors import nearest

    try:
        near = nearest(path.name, sorted(one.name for one in path.parent.glob("*.y*ml")))
    except OSError:
        return ()
    return (f"did you mean '{path.parent / near}'?",) if near else ()


def _inside(folder: Path) -> tuple[str, ...]:
    found = sorted(one.name for one in folder.glob("*.y*ml"))[:3]
    return (f"it holds {', '.join(found)}" if found else ORDER,)


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


SURROGATE = re.compile("[\ud800-\udfff]")
MAX_DEPTH = 24
"""Mappings and sequences are nested no deeper than this."""


def parse(text: Text) -> tuple[Source | None, list[Problem]]:
    """Return the nodes of a chain file and what is wrong with it as YAML; None where there is nothing to go on with."""
    from ruamel.yaml.error import YAMLError, YAMLStreamError

    reader = _Reader(text)
    try:
        root = reader.document()
    # A number that follows % or a backslash may be any text, which ruamel lets Python's own errors say.
    except (YAMLError, YAMLStreamError, ValueError) as error:
        return None, [*reader.problems, syntax_problem(text, error)]
    if root is None:
        return None, [*reader.problems, *reader.no_mapping(None)]
    if not isinstance(root, Pairs):
        return None, [*reader.problems, *reader.no_mapping(root)]
    return Source(text, root), reader.problems


class _TooDeepError(ValueError):
    """Nesting beyond `MAX_DEPTH`, at a character."""

    def __init__(self, index: int) -> None:
        self.index = index
        super().__init__(f"nested deeper than {MAX_DEPTH} levels")


class _Reader:
    """Builds the tree from ruamel's events, gathering what is refused on the way."""

    def __init__(self, text: Text) -> None:
        self.text = text
        self.problems: list[Problem] = []

    def document(self) -> Node | None:
        from ruamel.yaml import YAML

        events = YAML(typ="safe", pure=True).parse(self.text.text)
        root: Node | None = None
        documents = 0
        for event in events:
            if _is(event, "DocumentStart"):
                documents += 1
                if event.version or event.tags:
                    self._refuse(event, "a directive", "leave out the line that begins with %")
            elif not _is(event, "StreamStart", "StreamEnd", "DocumentEnd"):
                node = self._node(event, events, 1)
                root = node if documents == 1 else root
            if documents == 2 and _is(event, "DocumentStart"):
                self._refuse(event, "a second document", "one file holds one chain: leave out the line ---")
        return root

    def no_mapping(self, root: Node | None) -> list[Problem]:
        if not self.text.text.strip() or root is None:
            problem = Problem("D2F107", f"'{self.text.file}' is empty", notes=(_BEGIN,))
        elif root.data is None:
            problem = Problem("D2F107", f"'{self.text.file}' holds no chain", notes=(_BEGIN,))
        else:
            what = "a list" if isinstance(root, Items) else "a single value"
            place = self.text.place(root.span)
            problem = Problem("D2F107", f"the file holds {what}, not keys with values", place, notes=(_BEGIN,))
        return [problem]

    def _node(self, event: Any, events: Iterator[Any], depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise _TooDeepError(event.start_mark.index)
        if _is(event, "Alias"):
            self._refuse(event, f"the alias *{event.anchor}", "write the value out")
            return Scalar(_span(event), None)
        self._refuse_extras(event)
        if _is(event, "Scalar"):
            return self._scalar(event)
        if _is(event, "SequenceStart"):
            return self._items(event, events, depth)
        return self._pairs(event, events, depth)

    def _scalar(self, event: Any) -> Scalar:
        text = self._text(event)
        plain = event.style is None and event.ctag is None
        return Scalar(_span(event), resolve(text) if plain else text)

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

    def _items(self, start: Any, events: Iterator[Any], depth: int) -> Items:
        items: list[Node] = []
        for event in events:
            if _is(event, "SequenceEnd"):
                return Items(_around(start, event), items, bare=not start.flow_style)
            items.append(self._node(event, events, depth + 1))
        raise AssertionError("ruamel closes every sequence")

    def _pairs(self, start: Any, events: Iterator[Any], depth: int) -> Pairs:
        pairs: dict[str, Pair] = {}
        for event in events:
            if _is(event, "MappingEnd"):
                span = _around(start, event)
                if not start.flow_style and pairs:
                    span = next(iter(pairs.values())).span
                return Pairs(span, pairs, bare=not start.flow_style)
            pair = self._pair(event, events, depth)
            if pair is not None:
                self._add(pairs, pair)
        raise AssertionError("ruamel closes every mapping")

    def _pair(self, event: Any, events: Iterator[Any], depth: int) -> Pair | None:
        key = self._node(event, events, depth + 1)
        value = self._node(next(events), events, depth + 1)
        if _is(event, "Alias"):
            return None
        if not isinstance(key, Scalar):
            self._refuse(event, "a list or mapping as a key", "a key is a word")
            return None
        if event.value == "<<" and event.style is None:
            self._refuse(event, "the merge key <<", "write the keys out")
            return None
        return Pair(self._text(event), key.span, value)

    def _add(self, pairs: dict[str, Pair], pair: Pair) -> None:
        if pair.key not in pairs:
            pairs[pair.key] = pair
            return
        line = self.text.line_of(pairs[pair.key].span.start)
        again = self.text.line_of(pair.span.start)
        where = f"twice in line {line}" if line == again else f"in line {line} and again in line {again}"
        place = self.text.place(pair.span)
        self.problems.append(Problem("D2F101", f"the key {pair.key!r} stands {where}", place, notes=("keep one",)))

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


_BEGIN = "a chain file begins with the line `d2f: 1`"


def _is(event: Any, *names: str) -> bool:
    return type(event).__name__.removesuffix("Event") in names


def _span(event: Any) -> Span:
    return Span(event.start_mark.index, event.end_mark.index)


def _around(start: Any, end: Any) -> Span:
    first = start.start_mark.index
    return Span(first, end.end_mark.index if start.flow_style else first + 1)
