"""The text of a chain file: read within bounds, and able to say where each part of it stands."""

from __future__ import annotations

import codecs
import os
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from d2f.api.errors import D2FError, Place
from d2f.chain.nodes import Key, Node, Pairs, Span, child, dotted

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
    """A chain file that was understood as YAML.

    Parameters
    ----------
    text : Text
        What was read.
    root : Pairs
        The mapping at the top.
    """

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
    from d2f.api.nearest import nearest

    try:
        near = nearest(path.name, sorted(one.name for one in path.parent.glob("*.y*ml")))
    except OSError:
        return ()
    return (f"did you mean '{path.parent / near}'?",) if near else ()


def _inside(folder: Path) -> tuple[str, ...]:
    found = sorted(one.name for one in folder.glob("*.y*ml"))[:3]
    return (f"it holds {', '.join(found)}" if found else ORDER,)
