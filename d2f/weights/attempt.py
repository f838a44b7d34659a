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
    """One attempt to fetch a file.

    Parameters
    ----------
    part : Path
        Where its bytes go; what is there already was left by an attempt that broke off.
    limit : int
        Bytes that the file may hold.
    watch : callable
        Told of bytes done and of bytes in all, None where nobody says.
    """

    part: Path
    limit: int
    watch: Callable[[int, int | None], object]

    def bounded(self, size: int) -> int:
        """Return a size.

        Raises
        ------
        TooLarge
            It is larger than the limit.
        """
        if size > self.limit:
            raise TooLarge(f"it holds more than {self.limit} bytes")
        return size
