"""A detector called as the engine calls it, on named pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from d2f.api.inputs import FileBytes, Tiles
from d2f.api.outcomes import Abstention, Score
from d2f.testing.check import Failed
from d2f.testing.image_files import image_file
from d2f.testing.pictures import SIDE, flat_pictures, hard_pictures, ordinary_pictures, with_size
from d2f.testing.subject import Subject

if TYPE_CHECKING:
    from d2f.api.arrays import Pixels

Given = dict[str, Any]
"""Elements of a batch by the picture's name: pixels, a tile or an `ImageFile`."""

Outcomes = dict[str, Score | Abstention]


def ordinary(subject: Subject) -> Given:
    """Return what the detector is given of pictures that it should have something to say of."""
    wants = subject.instance.wants
    side = wants.size if isinstance(wants, Tiles) else SIDE
    return _as_wanted(wants, ordinary_pictures(side, side))


def hard(subject: Subject) -> Given:
    """Return what the detector is given of flat pictures and, where it takes whole images, of tiny ones."""
    wants = subject.instance.wants
    if isinstance(wants, Tiles):
        return _as_wanted(wants, flat_pictures(wants.size, wants.size))
    return _as_wanted(wants, hard_pictures())


def _as_wanted(wants: object, pictures: Mapping[str, Pixels]) -> Given:
    if isinstance(wants, FileBytes):
        return {
            f"{with_size(name, one)} {form}": image_file(one, name, form)
            for name, one in pictures.items()
            for form in FORMATS
        }
    return {with_size(name, one): one for name, one in pictures.items()}


FORMATS = ("PNG", "JPEG")


def ask(subject: Subject, stage: Any, given: Given) -> Outcomes:
    """Score in the order given and return each picture's outcome.

    Raises
    ------
    Failed
        The detector raised, or returned something that is not one outcome for each element.
    """
    names = list(given)
    wants = stage.wants
    step = wants.batch if isinstance(wants, Tiles) else len(names)
    found: Outcomes = {}
    for start in range(0, len(names), max(1, step)):
        part = names[start : start + step]
        found.update(zip(part, _score(subject, stage, [given[name] for name in part], part), strict=True))
    return found


def _score(subject: Subject, stage: Any, elements: list[Any], names: Sequence[str]) -> list[Score | Abstention]:
    batch = _batch(stage.wants, elements)
    try:
        outcomes = list(stage.score(batch))
    except (Exception, SystemExit) as error:
        if len(elements) > 1:
            # The one that is to blame, where it is one.
            for element, name in zip(elements, names, strict=True):
                _score(subject, stage, [element], [name])
        told = f"on {names[0]}" if len(names) == 1 else f"on a batch of {len(names)}"
        raise subject.raised(told, error, _advice(error)) from error
    if len(outcomes) != len(batch):
        raise Failed(
            f"{len(outcomes)} outcomes for a batch of {len(batch)}",
            "return one for each element of the batch, in order",
        )
    return [_outcome(outcome, name) for outcome, name in zip(outcomes, names, strict=False)]


def _batch(wants: object, elements: list[Any]) -> Any:
    """Return elements as the engine hands them over: lists, or one array of fixed shape that zeros fill up."""
    import numpy as np

    from d2f.engine.apply import read_only

    if isinstance(wants, FileBytes):
        return elements
    if isinstance(wants, Tiles):
        batch = np.zeros((wants.batch, wants.size, wants.size, 3), dtype=np.uint8)
        batch[: len(elements)] = np.stack(elements)
        return read_only(batch)
    return [read_only(element) for element in elements]


def _outcome(outcome: Any, name: str) -> Score | Abstention:
    from d2f.engine.findings import finding

    found = finding(outcome)
    # The stage's own words are judged, not what the engine mends of them.
    if isinstance(outcome, Abstention):
        return outcome
    if isinstance(found, Score):
        return replace(found, evidence=outcome.evidence) if isinstance(outcome, Score) else found
    assert not isinstance(found, Abstention)
    raise Failed(
        f"on {name}: {found.message}",
        "return a finite number, a d2f.Score, or d2f.Abstention('why') where there is none",
    )


def _advice(error: BaseException) -> str:
    if isinstance(error, ValueError) and "read-only" in str(error):
        return "work on a copy: what a stage is given is shared with the other stages"
    return "return d2f.Abstention('why') for an image that it cannot score; an exception costs the whole batch"


def differences(one: Outcomes, other: Outcomes, allowed: float, words: tuple[str, str]) -> list[str]:
    """Return, of each picture in both whose outcomes differ by more than `allowed`, both of them in words."""
    return [
        f"on {name}: {words[0]} {shown(one[name])}, {words[1]} {shown(other[name])}"
        for name in one
        if name in other and not alike(one[name], other[name], allowed)
    ]


def alike(one: Score | Abstention, other: Score | Abstention, allowed: float) -> bool:
    """Whether two outcomes are the same, scores within `allowed`, absolute or relative."""
    import math

    if isinstance(one, Score) and isinstance(other, Score):
        return math.isclose(one.value, other.value, rel_tol=allowed, abs_tol=allowed)
    return one == other


def shown(outcome: Score | Abstention) -> str:
    """Return an outcome in words."""
    return repr(outcome.value) if isinstance(outcome, Score) else f"an abstention ({outcome.reason})"
