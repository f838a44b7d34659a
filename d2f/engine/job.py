"""One image on its way through the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from d2f.api.inputs import ImageFile
from d2f.api.rows import Cell
from d2f.engine.findings import Finding, as_cell, pooled
from d2f.engine.scored import Scored
from d2f.reading.unread import Unread


class Job:
    """An image's facts and the cells found so far; no pixels, so that waiting for a batch is cheap.

    Parameters
    ----------
    image : ImageFile or Unread
    cells : sequence of (str, str)
        `Plan.cells`.
    """

    __slots__ = ("_cells", "_facts", "_failure", "_left")

    def __init__(self, image: ImageFile | Unread, cells: Sequence[tuple[str, str]]) -> None:
        unread = isinstance(image, Unread)
        self._facts = (image.path, image.sha256, image.width, image.height, image.format)
        self._failure = image.failure if isinstance(image, Unread) else None
        self._cells: list[Cell] = [] if unread else [Cell(*names) for names in cells]
        self._left = len(self._cells)

    def settle(self, index: int, finding: Finding) -> None:
        """Write what was found for one cell; called once for each."""
        cell = self._cells[index]
        self._cells[index] = as_cell(cell.detector, cell.view, finding)
        self._left -= 1

    @property
    def finished(self) -> bool:
        """Whether every cell is settled."""
        return self._left == 0

    def scored(self) -> Scored:
        """Return the finished image."""
        return Scored(*self._facts, tuple(self._cells), self._failure)


@dataclass(slots=True, eq=False)
class Slot:
    """One cell of one image, waiting for the scores of its `expected` parts."""

    job: Job
    index: int
    view: str
    expected: int
    pool: str = "mean"
    found: tuple[Finding, ...] = ()

    def take(self, findings: Sequence[Finding]) -> None:
        """Add the next parts' findings; the last ones settle the cell."""
        self.found += tuple(findings)
        if len(self.found) == self.expected:
            whole = self.found[0] if self.expected == 1 and not self.pool else pooled(self.found, self.pool)
            self.job.settle(self.index, whole)
