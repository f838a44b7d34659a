"""A model's labels, read as `generated` or `real`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from d2f import D2FError, Exit, Problem

GENERATED = frozenset(
    ["ai", "aigc", "artificial", "deepfake", "fake", "generated", "generative", "machine", "synthetic"]
)
REAL = frozenset(
    ["authentic", "camera", "genuine", "hum", "human", "natural", "nature", "original", "photo", "photograph", "real"]
)
"""Words of labels on the hub."""


@dataclass(frozen=True, slots=True)
class Places:
    """Places of labels in a model's output."""

    generated: tuple[int, ...]
    real: tuple[int, ...]


def guessed(labels: Sequence[str]) -> Places | None:
    """Return what the labels' words say; None where one of them says neither or both, or all say the same.

    Examples
    --------
    >>> guessed(["Fake", "Real"])
    Places(generated=(0,), real=(1,))
    >>> guessed(["real photo", "midjourney"]) is None
    True
    """
    generated: list[int] = []
    real: list[int] = []
    for place, label in enumerate(labels):
        words = set(re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label).lower()))
        if bool(words & GENERATED) == bool(words & REAL):
            return None
        (generated if words & GENERATED else real).append(place)
    return Places(tuple(generated), tuple(real)) if generated and real else None


def places(
    labels: Sequence[str], generated: Sequence[str], real: Sequence[str] = (), guess: bool = False, name: str = "model"
) -> Places:
    """Return where a model's labels for `generated` and `real` are.

    Parameters
    ----------
    labels : sequence of str
        The model's own, in order.
    generated, real : sequence of str
        Those that the options name; `real` by default all others.
    guess : bool
        Without `generated`: take the guess.
    name : str
        What errors call the model.

    Raises
    ------
    D2FError
        D2F504: nothing is named and no guess is taken or can be made; a name is not among the labels, or stands
        for both; or nothing is left for `real`.
    """
    if not generated and len(labels) > 1:
        found = guessed(labels)
        if found is None or not guess:
            raise _asked(labels, found, name)
        return found
    by_name = {label: place for place, label in enumerate(labels)}
    unknown = [label for label in (*generated, *real) if label not in by_name]
    if unknown:
        raise _fault(f"{name} has no label {_listed(unknown)}", f"its labels: {_listed(labels)}")
    if both := set(generated) & set(real):
        raise _fault(f"{_listed(sorted(both))} stand for generated and for real", "name each label once")
    chosen = tuple(by_name[label] for label in generated)
    if len(labels) == 1:
        return Places((0,), ())
    rest = tuple(by_name[label] for label in real or labels if label not in generated)
    if not rest:
        raise _fault(f"all labels of {name} stand for generated", f"its labels: {_listed(labels)}")
    return Places(chosen, rest)


def _asked(labels: Sequence[str], found: Places | None, name: str) -> D2FError:
    notes = [f"its labels: {_listed(labels)}"]
    if found is None:
        notes.append("their words do not say it: set the option generated")
    else:
        words = ", ".join(labels[place] for place in found.generated)
        notes.append(f"a guess by their words: generated: [{words}]; set that, or guess: true")
    return _fault(f"which labels of {name} mean generated?", *notes)


def _listed(labels: Sequence[str]) -> str:
    named = ", ".join(f"'{label[:40]}'" for label in labels[:12])
    return named + (f" and {len(labels) - 12} more" if len(labels) > 12 else "")


def _fault(message: str, *notes: str) -> D2FError:
    return D2FError(Problem("D2F504", message, notes=notes), Exit.PLUGIN)
