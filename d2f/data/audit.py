"""`d2f data audit`: how well files tell the label without their pictures, and which duplicates a set holds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError
from d2f.data.dataset import SPLITS, Dataset, Labelled
from d2f.data.facts import Inspection
from d2f.data.groups import DuplicatePairs, components, duplicates, with_groups
from d2f.data.groups import folds as make_folds
from d2f.data.shortcuts import (
    ALL,
    ORIGINAL,
    Shortcut,
    ShortcutTrial,
    all_together,
    file_properties,
    measure_shortcuts,
    stated_properties,
)
from d2f.report.tables import plain

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


def verdict(found: Shortcut) -> str:
    """Return one sentence on one property.

    >>> from d2f.metrics import Interval
    >>> verdict(Shortcut("format", Interval(1.0, 1.0, 1.0), 96))
    'format alone: AUC 1.000 [1.000, 1.000]: this set measures file formats'
    """
    alone = found.name if found.name == ALL else f"{found.name} alone"
    if found.only:
        return f"{alone}: {found.reason} ({found.share:.0%} of them): {_meaning(found)}"
    if found.auc is None:
        return f"{alone}: not measured, {found.reason}"
    return f"{alone}: AUC {found.auc}: {_meaning(found)}"


def conclusion(found: Sequence[Shortcut], across_labels: int = 0) -> str:
    """Return how far a set can be trusted, judged by the files as they are; what was not measured is named."""
    of_files = [each for each in found if not is_history(each)]
    measured = [each for each in of_files if each.auc is not None or each.only]
    contradictory = f"; {across_labels} pairs of duplicates have both labels" if across_labels else ""
    strong = [each for each in measured if each.name != ALL and each.strength >= NEARLY_ALL]
    if strong:
        worst = max(strong, key=lambda each: each.strength)
        return (
            f"{worst.name} alone tells the label: a detector that is trained or judged on these files as they are "
            f"may measure {MEASURES.get(worst.name, worst.name)}{contradictory}"
        )
    most = max(measured, key=lambda each: each.strength, default=None)
    absent = [each for each in of_files if each not in measured and each.images]
    if most is None:
        reasons = "; ".join(dict.fromkeys(each.reason for each in absent)) or "no property is there"
        return f"not measured whether the files tell the label: {reasons}{contradictory}"
    if most.strength >= SOME:
        how = f"AUC {most.auc}" if most.auc is not None else most.reason
        return f"the files tell some of the label without their pictures: {most.name}, {how}{contradictory}"
    unclear = [each for each in measured if each.unclear]
    if unclear:
        names = ", ".join(f"{each.name}, AUC {each.auc}" for each in unclear)
        return f"the set is too small to say whether the files tell the label: {names}{contradictory}"
    if absent:
        names = ", ".join(each.name for each in absent)
        return f"nothing that was measured tells the label; not measured: {names}{contradictory}"
    return f"nothing in the files but the pictures themselves tells the label{contradictory}"


def is_history(found: Shortcut) -> bool:
    """Whether a property is of a file as it was, or of a manifest's column, not of the file at hand."""
    return found.name.startswith((ORIGINAL, "column "))


def _meaning(found: Shortcut) -> str:
    if found.unclear:
        return "too few images, or collections, to say"
    if found.strength < SOME:
        return "tells next to nothing that holds on other collections"
    if is_history(found):
        return "the files no longer say it, but what it did to the pixels may have stayed"
    if found.strength >= NEARLY_ALL:
        return f"this set measures {MEASURES.get(found.name, found.name)}"
    return f"tells {'much' if found.strength >= MUCH else 'some'} of the label"


@dataclass(frozen=True)
class FoundDuplicates:
    """A set's duplicates, and those pairs that have both labels or lie in two parts of a split."""

    exact: int
    near: int
    across_labels: tuple[tuple[str, str, str], ...]
    across_parts: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, eq=False)
class Audit:
    """The findings of an audit."""

    images: Dataset
    shortcuts: tuple[Shortcut, ...]
    history: tuple[Shortcut, ...]
    duplicates: FoundDuplicates
    independent: NDArray[np.int64]  # (n,), int64
    notes: tuple[str, ...] = ()

    @property
    def components(self) -> int:
        """How many independent sets of images there are."""
        return len(set(self.independent.tolist()))

    @property
    def conclusion(self) -> str:
        """One sentence on the set."""
        return conclusion(self.shortcuts, len(self.duplicates.across_labels))

    def plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        labels = np.bincount(self.images.labels, minlength=2).tolist()
        return {
            "images": {"real": labels[0], "generated": labels[1]},
            "components": self.components,
            "shortcuts": [_plain_shortcut(each) for each in (*self.shortcuts, *self.history)],
            "duplicates": asdict(self.duplicates),
            "conclusion": self.conclusion,
            "notes": list(self.notes),
        }


def audit_set(seen: Inspection, folds: int = 5, seed: int = 0, columns: Sequence[str] = ()) -> Audit:
    """Audit a set."""
    found = duplicates(seen)
    images = with_groups(seen.images, found.groups)
    measured, numbers, notes = _file_shortcuts(replace(seen, images=images), folds, seed)
    # What a manifest states of the files as they are now is left out.
    now = {f"{ORIGINAL}{each.name}": each for each in file_properties(seen)}
    stated = [
        each
        for each in stated_properties(images, columns)
        if each.name not in now or not each.separates_as(now[each.name])
    ]
    history = measure_shortcuts(stated, ShortcutTrial(images.labels, numbers, folds, seed))
    across_labels = _across(images, found, [str(image.label) for image in images])
    across_parts = _across(images, found, [part_of(image, images.root) for image in images])
    held = FoundDuplicates(len(found.exact), len(found.near), across_labels, across_parts)
    return Audit(images, measured, history, held, numbers, notes)


def source_audit(seen: Inspection, seed: int = 0) -> list[str]:
    """Return the audit's sentences on a set's files: its conclusion, notes, then each property's.

    Files that cannot be read are left out; scoring reports them. Without both labels there are none.
    """
    if len(set(seen.images.labels.tolist())) < 2:
        return []
    found, _, notes = _file_shortcuts(seen, 5, seed)
    return [conclusion(found), *notes, *map(verdict, found)]


def _file_shortcuts(
    seen: Inspection, folds: int, seed: int
) -> tuple[tuple[Shortcut, ...], NDArray[np.int64], tuple[str, ...]]:
    """What the files tell, the components that images were held out by, and notes on those."""
    numbers, notes = _independent(seen.images, folds, seed)
    trial, properties = ShortcutTrial(seen.images.labels, numbers, folds, seed), file_properties(seen)
    return (*measure_shortcuts(properties, trial), all_together(properties, trial)), numbers, notes


def _independent(images: Dataset, folds: int, seed: int) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Components by collection; by near-duplicates alone where a label has one collection only."""
    numbers = components(images)
    try:
        make_folds(numbers, images.labels, folds, seed)
    except D2FError as error:
        if len(set(images.labels.tolist())) < 2:
            raise
        alone = components([replace(image, collection="") for image in images])
        note = f"{error.problems[0].message}: images are held out singly, so that the figures may be optimistic"
        return alone, (note,)
    return numbers, ()


PART_COLUMNS = ("part", "split", "fold")
"""Columns of a manifest that say which part an image is in."""


def part_of(image: Labelled, root: str) -> str:
    """Return the part of a split that an image is in, by a manifest's column or a folder's name; or nothing."""
    for column in PART_COLUMNS:
        if image.more.get(column):
            return image.more[column]
    folder = root if os.path.isdir(root) else os.path.dirname(root)
    below = Path(os.path.relpath(image.path, folder or ".")).parts[:-1]
    return next((name.lower() for name in below if name.lower() in SPLITS), "")


def _across(images: Dataset, found: DuplicatePairs, names: Sequence[str]) -> tuple[tuple[str, str, str], ...]:
    pairs: tuple[tuple[NDArray[np.int64], str], ...] = ((found.exact, "exact"), (found.near, "near"))
    return tuple(
        (images[i].path, images[j].path, kind)
        for of_kind, kind in pairs
        for i, j in of_kind
        if names[i] and names[j] and names[i] != names[j]
    )


def _plain_shortcut(found: Shortcut) -> dict[str, Any]:
    auc = None if found.auc is None else plain(found.auc._asdict())
    return {"name": found.name, "auc": auc, "images": found.images, "only": found.only, "verdict": verdict(found)}


SHOWN = 5
"""Pairs of duplicates that are named; all of them are in the JSON."""


def audit_lines(found: Audit) -> Iterator[str]:
    """Yield the lines of a report."""
    yield f"{found.images.describe()}, {found.components} components"
    yield from (f"note: {note}" for note in found.notes)
    yield ""
    yield "how well the files tell the label, without their pictures, on collections held out"
    yield from (f"  {verdict(each)}" for each in found.shortcuts)
    if found.history:
        yield "how well the manifest tells it"
        yield from (f"  {verdict(each)}" for each in found.history)
    yield ""
    held = found.duplicates
    yield f"duplicates: {held.exact} pairs of the same bytes, {held.near} pairs that look alike"
    yield from _pair_lines("with both labels", held.across_labels)
    yield from _pair_lines("in two parts of a split", held.across_parts)
    yield ""
    yield f"verdict: {found.conclusion}"


def _pair_lines(where: str, pairs: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    if pairs:
        yield f"  {where}: {len(pairs)}"
    for first, second, kind in pairs[:SHOWN]:
        yield f"    {kind}  {first}  {second}"
    if len(pairs) > SHOWN:
        yield f"    … {len(pairs) - SHOWN} more (--json names them all)"
