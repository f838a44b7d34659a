"""What every way of fetching is given, and how it says that it failed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LARGEST = 8 * 2**30
"""Bytes of a file whose record does not say how many it has."""


class Unfetched(Exception):
    """A source did not give its file; the message says why."""


class TooLarge(Unfetched):
    """A source gives more bytes than allowed."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to fetch a file."""

    part: Path
    limit: int
    watch: Callable[[int, int | None], object]

    def bounded(self, size: int) -> int:
        """Return a size."""
        if size > self.limit:
            raise TooLarge(f"it holds more than {self.limit} bytes")
        return size
