"""An audit as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError
from d2f.data.dataset import Dataset
from d2f.data.facts import Inspection
from d2f.data.groups import components, duplicates, with_groups
from d2f.data.review import Twins, twins
from d2f.data.shortcuts import (
    ALL,
    ORIGINAL,
    Property,
    Telltale,
    Trial,
    file_properties,
    stated_properties,
    telltales,
    together,
)
from d2f.data.split import folds as deal

MEASURES: Mapping[str, str] = {
    "size": "picture sizes",
    "format": "file formats",
    "JPEG quality": "JPEG qualities",
    "chroma subsampling": "chroma subsampling",
    "metadata": "metadata",
    "bytes per pixel": "how well pictures compress",
    ALL: "containers, not pictures",
}
NEARLY_ALL, MUCH, SOME = 0.9, 0.75, 0.6
"""AUCs from which a property tells nearly all, much or some of the label."""


def verdict(found: Telltale) -> str:
    """Return one sentence on one property.

    Examples
    --------
    >>> from d2f.metrics import Interval
    >>> verdict(Telltale("format", Interval(1.0, 1.0, 1.0), 96))
    'format alone: AUC 1.000 [1.000, 1.000]: this set measures file formats'
    """
    alone = found.name if found.name == ALL else f"{found.name} alone"
    if found.auc is None:
        return f"{alone}: not measured, {found.reason}"
    return f"{alone}: AUC {found.auc}: {_meaning(found)}"


def conclusion(found: Sequence[Telltale]) -> str:
    """Return what a set is worth, judged by the files as they are."""
    measured = [each for each in found if each.auc is not None and not is_history(each)]
    told = [each for each in measured if each.name != ALL and strength(each) >= NEARLY_ALL]
    if told:
        worst = max(told, key=strength)
        return (
            f"{worst.name} alone tells the label: a detector that is trained or judged on these files as they are "
            f"may measure {MEASURES.get(worst.name, worst.name)}"
        )
    most = max(measured, key=strength, default=None)
    if most is None or strength(most) < SOME:
        return "nothing in the files but the pictures themselves tells the label"
    return f"the files tell some of the label without their pictures: {most.name}, AUC {most.auc}"


def strength(found: Telltale) -> float:
    """Return the AUC where its interval lies above 0.5, else 0.5.

    Below 0.5, what was learned on some collections is wrong on others: nothing that holds.
    """
    if found.auc is None or found.auc.low <= 0.5:
        return 0.5
    return max(0.5, found.auc.value)


def is_history(found: Telltale) -> bool:
    """Whether a property is of a file as it was, or of a manifest's column, not of the file at hand."""
    return found.name.startswith((ORIGINAL, "column "))


def _meaning(found: Telltale) -> str:
    told = strength(found)
    if told < SOME:
        return "tells next to nothing that holds on other collections"
    if is_history(found):
        return "the files no longer say it, but what it did to the pixels may have stayed"
    if told >= NEARLY_ALL:
        return f"this set measures {MEASURES.get(found.name, found.name)}"
    return f"tells {'much' if told >= MUCH else 'some'} of the label"


@dataclass(frozen=True, eq=False)
class Audit:
    """What was found."""

    images: Dataset
    telltales: tuple[Telltale, ...]
    history: tuple[Telltale, ...]
    twins: Twins
    independent: NDArray[np.int64]  # (n,), int64
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
    """Audit a set."""
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


SHOWN = 5
"""Pairs of duplicates that are named; all of them are in the JSON."""


def audit_lines(found: Audit) -> Iterator[str]:
    """Yield the lines of a report."""
    yield f"{found.images.describe()}, {found.components} components"
    yield from (f"note: {note}" for note in found.notes)
    yield ""
    yield "what the files tell of the label, without their pictures, on collections held out"
    yield from (f"  {verdict(each)}" for each in found.telltales)
    if found.history:
        yield "what the manifest tells of it"
        yield from (f"  {verdict(each)}" for each in found.history)
    yield ""
    twins = found.twins
    yield f"duplicates: {twins.exact} pairs of the same bytes, {twins.near} pairs that look alike"
    yield from _pairs("under both labels", twins.across_labels)
    yield from _pairs("in two parts of a split", twins.across_parts)
    yield ""
    yield f"verdict: {found.conclusion}"


def _pairs(where: str, pairs: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    if pairs:
        yield f"  {where}: {len(pairs)}"
    for first, second, kind in pairs[:SHOWN]:
        yield f"    {kind}  {first}  {second}"
    if len(pairs) > SHOWN:
        yield f"    … {len(pairs) - SHOWN} more (--json names them all)"
