"""What the engine hands to the judge: an image's facts and its cells, still without probabilities."""

from __future__ import annotations

import math
from dataclasses import dataclass

from d2f.api.rows import Cell, Failure


@dataclass(frozen=True, slots=True)
class Scored:
    """One image's scores.

    Parameters
    ----------
    path : str
    sha256, width, height, format
        Of the file; None where it could not be read so far.
    cells : tuple of Cell
        One for each of `Plan.cells`, in that order: a score, an abstention or an error each. Empty
        where the file gave no image.
    failure : Failure or None
        Why the file gave no image.
    """

    path: str
    sha256: str | None
    width: int | None
    height: int | None
    format: str | None
    cells: tuple[Cell, ...] = ()
    failure: Failure | None = None

    @property
    def scores(self) -> tuple[float, ...]:
        """The score of each cell, NaN where it has none."""
        return tuple(math.nan if cell.score is None else cell.score for cell in self.cells)
