"""The table: a score for each image, copy and cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from d2f.api.arrays import Floats, Labels
from d2f.api.rows import Failure
from d2f.data.components import components
from d2f.data.dataset import Dataset


@dataclass(frozen=True)
class ScoreTable:
    """Scores of a labelled set.

    Parameters
    ----------
    images : Dataset
        Those that could be read, in the set's order.
    sha256 : tuple of str
        Digest of each one's file.
    copies : tuple of str
        Names of the copies; the first is the clean one.
    cells : tuple of str
        ``detector/view`` of each cell.
    scores : numpy.ndarray, shape (images, copies, cells), float64
        NaN where a cell abstained or failed.
    unread : tuple of (str, Failure)
        Path and reason of each image that could not be read.
    failed : tuple of (str, str, Failure)
        Path, copy and reason of a copy, or cell name and reason of a cell, that failed.
    stand_ins : mapping of str to tuple of str
        By detector, sha256 of the weights that scored images which its own were trained on.
    """

    images: Dataset
    sha256: tuple[str, ...]
    copies: tuple[str, ...]
    cells: tuple[str, ...]
    scores: Floats
    unread: tuple[tuple[str, Failure], ...] = ()
    failed: tuple[tuple[str, str, Failure], ...] = ()
    stand_ins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def labels(self) -> Labels:
        """Labels of the images, shape (images,)."""
        return self.images.labels

    @property
    def components(self) -> NDArray[np.int64]:
        """Components of the images, shape (images,)."""
        return components(self.images)

    def flat(self) -> Floats:
        """Scores of shape (images * copies, cells): all copies of an image stand together."""
        return self.scores.reshape(-1, len(self.cells))

    def repeated(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return what belongs to images, shape (images,), for each row of `flat`."""
        return np.repeat(values, len(self.copies))

    def select(self, keep: NDArray[np.bool_]) -> ScoreTable:
        """Return the table of the images where a mask of shape (images,) holds."""
        sha256 = tuple(digest for digest, kept in zip(self.sha256, keep, strict=True) if kept)
        return replace(self, images=self.images.select(keep), sha256=sha256, scores=self.scores[keep])
