"""What a telltale means, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from d2f.data.audit.properties import ORIGINAL
from d2f.data.audit.telltales import ALL, Telltale

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
    >>> from d2f.measure import Interval
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
