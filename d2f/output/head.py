"""What all rows of one output share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Head:
    """The chain that an output belongs to, and the cells that its rows hold.

    Parameters
    ----------
    chain, digest : str
        Name and digest of the chain, as its rows carry them.
    cells : tuple of (detector id, view)
        In the chain's order; they become columns of CSV and Parquet.
    """

    chain: str
    digest: str
    cells: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, chain: str, digest: str, cells: Iterable[tuple[str, str]]) -> Head:
        """Make a head of any iterable of (detector id, view)."""
        return cls(chain, digest, tuple(cells))
