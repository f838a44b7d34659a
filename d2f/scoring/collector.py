"""Scores gathered into a table, in whatever order they come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from d2f.api.errors import D2FError
from d2f.api.rows import Failure
from d2f.data.dataset import Dataset
from d2f.engine.scored import Scored
from d2f.scoring.table import ScoreTable


class Collector:
    """A table that is being filled; what was read and what failed is told in the set's order.

    Parameters
    ----------
    images : Dataset
    names : sequence of str
        Of the copies.
    cells : sequence of str

    Attributes
    ----------
    scores : numpy.ndarray, shape (images, copies, cells), float64
        NaN where nothing was put.
    sha256 : list of (str or None)
        Digest of each image's file, as far as it was read.
    """

    def __init__(self, images: Dataset, names: Sequence[str], cells: Sequence[str]) -> None:
        self.images, self.names, self.cells = images, tuple(names), tuple(cells)
        self.scores = np.full((len(images), len(names), len(cells)), np.nan)
        self.sha256: list[str | None] = [None] * len(images)
        self._unread: dict[int, tuple[str, Failure]] = {}
        self._failed: dict[tuple[int, int, int], tuple[str, str, Failure]] = {}

    def read(self, number: int, sha256: str | None) -> None:
        """Say that an image was read, now or earlier."""
        self.sha256[number] = sha256

    def add(self, number: int, copy: int, scored: Scored, columns: Sequence[int] | None = None) -> None:
        """Put in what was found of one copy.

        Parameters
        ----------
        number : int
            The image's place in the set.
        copy : int
            0 for the clean one.
        scored : Scored
        columns : sequence of int, optional
            Where its cells stand in the table; every cell by default.
        """
        if copy == 0:
            if scored.failure:
                self._unread[number] = (scored.path, scored.failure)
                return
            self.read(number, scored.sha256)
        if scored.failure:
            self._failed[number, copy, -1] = (scored.path, self.names[copy], scored.failure)
            return
        places = range(len(self.cells)) if columns is None else columns
        self.scores[number, copy, list(places)] = scored.scores
        for column, cell in zip(places, scored.cells, strict=True):
            if cell.error:
                self._failed[number, copy, column] = (scored.path, cell.name, cell.error)

    def table(self) -> ScoreTable:
        """Return the table of the images that could be read.

        Raises
        ------
        D2FError
            D2F601 where there is none.
        """
        read = np.array([digest is not None for digest in self.sha256], dtype=bool)
        unread = [self._unread[number] for number in sorted(self._unread)]
        if not read.any():
            reasons = (f"{path}: {failure.code} {failure.message}" for path, failure in unread[:1])
            raise D2FError.of("D2F601", f"none of the {len(self.images)} images could be read", *reasons)
        digests = tuple(digest for digest in self.sha256 if digest is not None)
        failed = tuple(
            self._failed[place] for place in sorted(self._failed) if place[0] not in self._unread and read[place[0]]
        )
        kept = self.images.select(read)
        return ScoreTable(kept, digests, self.names, self.cells, self.scores[read], tuple(unread), failed)
