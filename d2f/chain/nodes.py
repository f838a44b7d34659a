"""A YAML document as a tree that remembers where each key and value stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from d2f.plugins.core_schema import Value

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
