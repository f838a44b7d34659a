"""A source that breaks off: what it gave so far is finished before its error is seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def until_broken(source: Iterable[Item], broken: list[Exception]) -> Iterator[Item]:
    """Yield the items of a source; an exception that it raises ends them and is put into `broken`."""
    try:
        yield from source
    except Exception as error:
        broken.append(error)
