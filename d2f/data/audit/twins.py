"""Copies of one picture that stand where they should not: under both labels, or in two parts of a split."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2f.data.dataset import Dataset, Labelled
from d2f.data.duplicates import Duplicates
from d2f.data.layout import SPLITS

PART_COLUMNS = ("part", "split", "fold")
"""Columns of a manifest that say which part an image is in."""


@dataclass(frozen=True)
class Twins:
    """What duplicates do to a set.

    Parameters
    ----------
    exact, near : int
        Pairs of files with the same bytes; pairs of other files that look alike.
    across_labels, across_parts : tuple of (str, str, str)
        Pairs under different labels, or in different parts: both paths, and ``exact`` or ``near``.
    """

    exact: int
    near: int
    across_labels: tuple[tuple[str, str, str], ...]
    across_parts: tuple[tuple[str, str, str], ...]

    def plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "exact": self.exact,
            "near": self.near,
            "across_labels": [list(pair) for pair in self.across_labels],
            "across_parts": [list(pair) for pair in self.across_parts],
        }


def twins(images: Dataset, found: Duplicates) -> Twins:
    """Say of a set's duplicates which stand under both labels and which in two parts."""
    labels = [str(image.label) for image in images]
    parts = [part_of(image, images.root) for image in images]
    return Twins(len(found.exact), len(found.near), _across(images, found, labels), _across(images, found, parts))


def part_of(image: Labelled, root: str) -> str:
    """Return the part of a split that an image is in, by a manifest's column or a folder's name; or nothing."""
    for column in PART_COLUMNS:
        if image.more.get(column):
            return image.more[column]
    folder = root if os.path.isdir(root) else os.path.dirname(root)
    below = Path(os.path.relpath(image.path, folder or ".")).parts[:-1]
    return next((name.lower() for name in below if name.lower() in SPLITS), "")


def _across(images: Dataset, found: Duplicates, names: Sequence[str]) -> tuple[tuple[str, str, str], ...]:
    pairs: tuple[tuple[NDArray[np.int64], str], ...] = ((found.exact, "exact"), (found.near, "near"))
    return tuple(
        (images[i].path, images[j].path, kind)
        for of_kind, kind in pairs
        for i, j in of_kind
        if names[i] and names[j] and names[i] != names[j]
    )
