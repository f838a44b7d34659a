"""Properties as rows of zeros and ones: numbers by bins, words by value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from d2f.api.arrays import Floats
from d2f.data.audit.properties import Property

BINS = 12
"""Bins of a number, of equal counts in what is fitted to."""
WORDS = 40
"""Most frequent values of a word that have a column; the others have none."""


@dataclass(frozen=True)
class Binned:
    """Bins and values as they were found in one part of a set.

    Parameters
    ----------
    edges : tuple of numpy.ndarray
        Of each number, inner edges of its bins, ascending.
    values : tuple of numpy.ndarray
        Of each word, the values that have a column.
    """

    edges: tuple[Floats, ...]
    values: tuple[NDArray[np.str_], ...]

    @classmethod
    def of(cls, properties: Sequence[Property], rows: NDArray[np.bool_]) -> Binned:
        """Find bins and values in the rows (n,) of some properties."""
        numbers = [column[rows] for each in properties for column in each.numbers]
        words = [column[rows] for each in properties for column in each.words]
        return cls(tuple(map(_edges, numbers)), tuple(map(_frequent, words)))

    def rows(self, properties: Sequence[Property]) -> Floats:
        """Return all rows of the properties as zeros and ones, shape (n, d); a missing number is a bin of its own."""
        numbers = [column for each in properties for column in each.numbers]
        words = [column for each in properties for column in each.words]
        parts = [
            np.searchsorted(edges, np.nan_to_num(column, nan=-np.inf))[:, None] + 1 == np.arange(len(edges) + 2)
            for column, edges in zip(numbers, self.edges, strict=True)
        ]
        for part, column in zip(parts, numbers, strict=True):
            part[np.isnan(column)] = np.arange(part.shape[1]) == 0
        parts += [column[:, None] == values for column, values in zip(words, self.values, strict=True)]
        return np.concatenate(parts, axis=1).astype(np.float64)


def _edges(column: Floats) -> Floats:
    there = column[~np.isnan(column)]
    if not len(there):
        return np.empty(0)
    edges: Floats = np.unique(np.quantile(there, np.arange(1, BINS) / BINS, method="inverted_cdf"))
    return edges


def _frequent(column: NDArray[np.str_]) -> NDArray[np.str_]:
    values, counts = np.unique(column, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return values[order][:WORDS]
