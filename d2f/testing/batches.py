"""What stages are given and how they are asked: batches as the engine makes them, seeded scores of two classes."""

from __future__ import annotations

import math
import os
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from d2f.api.inputs import FileBytes, ImageFile, Needs, Pixels, Tiles
from d2f.api.outcomes import Abstention, Score
from d2f.engine.findings import checked_outcome
from d2f.engine.views import read_only
from d2f.testing.pictures import SIDE, flat_pictures, hard_pictures, image_file, ordinary_pictures, with_size
from d2f.testing.subject import Failed, Subject

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

    Raises Failed: the detector raised, or returned something that is not one outcome for each element.
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
    """Score elements as the engine does: views that lack what the detector needs are abstained on."""
    needs: Needs = getattr(stage, "needs", Needs())
    reasons = ["" if isinstance(stage.wants, FileBytes) else needs.unmet(element) for element in elements]
    met = [place for place, reason in enumerate(reasons) if not reason]
    found: list[Score | Abstention] = [Abstention(reason) for reason in reasons]
    if met:
        scored = _score_met(subject, stage, [elements[place] for place in met], [names[place] for place in met])
        for place, outcome in zip(met, scored, strict=True):
            found[place] = outcome
    return found


def _score_met(subject: Subject, stage: Any, elements: list[Any], names: Sequence[str]) -> list[Score | Abstention]:
    batch = _batch(stage.wants, elements)
    try:
        outcomes = list(stage.score(batch))
    except (Exception, SystemExit) as error:
        if len(elements) > 1:
            # The one that is to blame, where it is one.
            for element, name in zip(elements, names, strict=True):
                _score_met(subject, stage, [element], [name])
        told = f"on {names[0]}" if len(names) == 1 else f"on a batch of {len(names)}"
        advice = "return d2f.Abstention('why') for an image that it cannot score; an exception costs the whole batch"
        if isinstance(error, ValueError) and "read-only" in str(error):
            advice = "work on a copy: what a stage is given is shared with the other stages"
        raise subject.raised(told, error, advice) from error
    if len(outcomes) != len(batch):
        raise Failed(
            f"{len(outcomes)} outcomes for a batch of {len(batch)}",
            "return one for each element of the batch, in order",
        )
    return [_outcome(outcome, name) for outcome, name in zip(outcomes, names, strict=False)]


def _batch(wants: object, elements: list[Any]) -> Any:
    """Return elements as the engine hands them over: lists, or one array of fixed shape that zeros fill up."""
    if isinstance(wants, FileBytes):
        return elements
    if isinstance(wants, Tiles):
        batch = np.zeros((wants.batch, wants.size, wants.size, 3), dtype=np.uint8)
        batch[: len(elements)] = np.stack(elements)
        return read_only(batch)
    return [read_only(element) for element in elements]


def _outcome(outcome: Any, name: str) -> Score | Abstention:
    found = checked_outcome(outcome)
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


def differences(one: Outcomes, other: Outcomes, allowed: float, words: tuple[str, str]) -> list[str]:
    """Return, of each picture in both whose outcomes differ by more than `allowed`, both of them in words."""
    return [
        f"on {name}: {words[0]} {outcome_text(one[name])}, {words[1]} {outcome_text(other[name])}"
        for name in one
        if name in other and not alike(one[name], other[name], allowed)
    ]


def alike(one: Score | Abstention, other: Score | Abstention, allowed: float) -> bool:
    """Whether two outcomes are the same, scores within `allowed`, absolute or relative."""
    if isinstance(one, Score) and isinstance(other, Score):
        return math.isclose(one.value, other.value, rel_tol=allowed, abs_tol=allowed)
    return one == other


def outcome_text(outcome: Score | Abstention) -> str:
    """Return an outcome in words."""
    return repr(outcome.value) if isinstance(outcome, Score) else f"an abstention ({outcome.reason})"


@contextmanager
def random_state(seed: int) -> Iterator[None]:
    """Seed the generators of Python and NumPy that all code of the process shares, and put them back afterwards."""
    kept, kept_by_numpy = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(kept)
        np.random.set_state(kept_by_numpy)


@contextmanager
def process_state() -> Iterator[list[str]]:
    """Yield a list that afterwards holds what the block has changed in the process, in words."""
    before, changed = _process_facts(), []  # type: tuple[dict[str, Any], list[str]]
    yield changed
    after = _process_facts()
    changed += [name for name in before if before[name] != after[name]]


def _process_facts() -> dict[str, Any]:
    of_numpy = np.random.get_state(legacy=False)
    key = of_numpy["state"]
    return {
        "the random generator of the module `random`": random.getstate(),
        "the random generator of numpy.random": (key["key"].tobytes(), key["pos"]),
        "what NumPy does about division by zero (numpy.seterr)": np.geterr(),
        "the environment": dict(os.environ),
        "the working folder": os.getcwd(),
    }


def fingerprint(value: Any) -> Any:
    """Return what tells whether a picture, a file in memory or an answer has been changed."""
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, value.tobytes()
    if not isinstance(value, ImageFile):
        return value
    return fingerprint(value.pixels), value.data, sorted(map(str, value.info))


THREADS = 4


def in_threads(work: Callable[[int], None], found: list[str], subject: Subject) -> None:
    """Call ``work(number)`` from four threads that start together; what one raises is added to `found`."""
    start = threading.Barrier(THREADS)

    def run(number: int) -> None:
        start.wait()
        try:
            work(number)
        except Failed as error:
            found.extend(error.found)
        except Exception as error:
            found.append(f"in thread {number}: it raised {subject.said(error)}")

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
