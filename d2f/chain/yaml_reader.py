"""Text to nodes: YAML 1.2 without what a chain file has no use for.

ruamel.yaml finds the tokens; the tree, the meaning of scalars and the refusals are made here, so that an
alias is never expanded, a tag never obeyed and a deeply nested file never recursed into.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from d2f.api.errors import Problem
from d2f.chain.nodes import Items, Node, Pair, Pairs, Scalar, Span
from d2f.chain.source import Source, Text
from d2f.chain.yaml_faults import syntax_problem
from d2f.plugins.core_schema import resolve

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
