"""An audit: what gives the labels of a set away, and which of its pictures stand twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError
from d2f.data.audit.properties import ORIGINAL, Property, file_properties, stated_properties
from d2f.data.audit.telltales import Telltale, Trial, telltales, together
from d2f.data.audit.twins import Twins, twins
from d2f.data.audit.verdicts import conclusion, verdict
from d2f.data.components import components
from d2f.data.dataset import Dataset
from d2f.data.duplicates import duplicates, with_groups
from d2f.data.folds import folds as deal
from d2f.data.inspection import Inspection


@dataclass(frozen=True, eq=False)
class Audit:
    """What was found.

    Parameters
    ----------
    images : Dataset
        Those that could be read, duplicates joined in groups.
    telltales : tuple of Telltale
        What the files show: each property alone, then all together.
    history : tuple of Telltale
        What the manifest states of the files as they were first found.
    twins : Twins
    independent : numpy.ndarray, shape (n,), int64
        Numbers of the sets of images that were never cut.
    notes : tuple of str
        What was assumed.
    """

    images: Dataset
    telltales: tuple[Telltale, ...]
    history: tuple[Telltale, ...]
    twins: Twins
    independent: NDArray[np.int64]
    notes: tuple[str, ...] = ()

    @property
    def components(self) -> int:
        """How many independent sets of images there are."""
        return len(set(self.independent.tolist()))

    @property
    def conclusion(self) -> str:
        """One sentence on the set."""
        return conclusion(self.telltales)

    def plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        labels = np.bincount(self.images.labels, minlength=2).tolist()
        return {
            "images": {"real": labels[0], "generated": labels[1]},
            "components": self.components,
            "telltales": [_plain(each) for each in (*self.telltales, *self.history)],
            "twins": self.twins.plain(),
            "conclusion": self.conclusion,
            "notes": list(self.notes),
        }


def audit(seen: Inspection, folds: int = 5, seed: int = 0, columns: Sequence[str] = ()) -> Audit:
    """Audit a set.

    Parameters
    ----------
    seen : Inspection
        With pictures decoded, so that near-duplicates are found.
    folds : int
        Of cross-validation, at least 2; whole components each.
    seed : int
        Of folds and intervals.
    columns : sequence of str
        Columns of the manifest to be tried beside what it states of formats and sizes.

    Raises
    ------
    D2FError
        D2F603 where a label is missing.
    """
    found = duplicates(seen)
    images = with_groups(seen.images, found.groups)
    numbers, notes = _independent(images, folds, seed)
    trial = Trial(images.labels, numbers, folds, seed)
    of_file = file_properties(seen)
    measured = (*telltales(of_file, trial), together(of_file, trial))
    history = telltales(_news(stated_properties(images, columns), of_file), trial)
    return Audit(images, measured, history, twins(images, found), numbers, notes)


def _news(stated: Sequence[Property], of_file: Sequence[Property]) -> list[Property]:
    """Leave out what a manifest states of the files as they are now."""
    now = {f"{ORIGINAL}{each.name}": each for each in of_file}
    return [each for each in stated if each.name not in now or not each.tells_the_same(now[each.name])]


def _independent(images: Dataset, folds: int, seed: int) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Components by collection; by near-duplicates alone where a label has one collection only."""
    numbers = components(images)
    try:
        deal(numbers, images.labels, folds, seed)
    except D2FError as error:
        if len(set(images.labels.tolist())) < 2:
            raise
        alone = components([replace(image, collection="") for image in images])
        note = f"{error.problems[0].message}: images are held out singly, and figures may flatter the collections"
        return alone, (note,)
    return numbers, ()


def _plain(found: Telltale) -> dict[str, Any]:
    auc = None if found.auc is None else dict(zip(("value", "low", "high"), map(_finite, found.auc), strict=True))
    return {"name": found.name, "auc": auc, "images": found.images, "verdict": verdict(found)}


def _finite(value: float) -> float | None:
    return round(value, 6) if np.isfinite(value) else None
