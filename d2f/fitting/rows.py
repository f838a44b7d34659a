"""What is fitted to: a row for each copy of each image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from d2f.api.arrays import Floats, Labels
from d2f.api.errors import D2FError
from d2f.data.folds import folds
from d2f.fitting.weights import balanced, image_weights
from d2f.scoring.table import ScoreTable


@dataclass(frozen=True)
class Rows:
    """Scores in a table of rows; all arrays have m rows.

    Parameters
    ----------
    scores : numpy.ndarray, shape (m, cells), float64
        NaN where a cell has none.
    labels : numpy.ndarray, shape (m,), int8
        0 real, 1 generated.
    weights : numpy.ndarray, shape (m,), float64
        The copies of an image share its weight evenly.
    images, components : numpy.ndarray, shape (m,), int64
        Which image a row is a copy of, and which component that belongs to.
    """

    scores: Floats
    labels: Labels
    weights: Floats
    images: NDArray[np.int64]
    components: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> Rows:
        """Return the rows where a mask of shape (m,) holds, or those at indices, in their order."""
        return Rows(self.scores[keep], self.labels[keep], self.weights[keep], self.images[keep], self.components[keep])

    def deal(self, k: int, seed: int) -> NDArray[np.int64]:
        """Return each row's fold, by `d2f.data.folds.folds`: no component is cut.

        Raises
        ------
        D2FError
            D2F603 where a label comes from fewer than two components.
        """
        return folds(self.components, self.labels, k, seed)

    def deal_inside(self, k: int, seed: int) -> NDArray[np.int64]:
        """Return each row's fold within what a fold has left; images stay whole where components cannot.

        These folds feed the combiner only; no figure is measured on them.
        """
        try:
            return self.deal(k, seed)
        except D2FError:
            return folds(self.images, self.labels, k, seed)


def as_rows(table: ScoreTable, by_source: bool = True) -> Rows:
    """Return the rows of a score table, weighted by `image_weights`, or evenly within each label."""
    count = len(table.copies)
    even = balanced(np.ones(len(table.images)), table.labels)
    weights = (image_weights(table.images) if by_source else even) / count
    return Rows(
        table.flat(),
        np.repeat(table.labels, count),
        np.repeat(weights, count),
        np.repeat(np.arange(len(table.images)), count),
        np.repeat(table.components, count),
    )
