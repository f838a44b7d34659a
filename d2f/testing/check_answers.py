"""What holds of every stage that is given pictures: the same answer again, nothing changed, threads as it says.

Preprocessors and preconditions are defined for every picture; of calibrators the last check is asked as well.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from d2f.api.inputs import ImageFile, Pixels
from d2f.api.outcomes import Abstention
from d2f.testing.batches import ask, differences, fingerprint, in_threads, ordinary, process_state, random_state
from d2f.testing.pictures import image_file, pictures, with_size
from d2f.testing.report import watched
from d2f.testing.subject import Failed, NotMeant, Skipped, Subject, check, fail_if, scores_of_two_classes

SEEDS = (0, 1, 2**64 - 1)
"""Seeds are 64 bits: both ends and one between."""

Given = Mapping[str, Any]
Answers = Mapping[str, Any]


@check("every picture becomes a view", gate=True)
def views(subject: Subject) -> str:
    """Pictures of many kinds, from 1 x 1 on, give uint8 (height, width, 3)."""
    found = []
    for name, picture in pictures().items():
        for seed in SEEDS:
            try:
                made = subject.instance.apply(picture, seed)
            except (Exception, SystemExit) as error:
                found.append(f"on {with_size(name, picture)}: it raised {subject.said(error)}")
                break
            if wrong := _no_view(made):
                found.append(f"on {with_size(name, picture)}: it returned {wrong}")
                break
    fail_if(found, "be defined for every picture, however small or flat; round, clip to 0..255, and cast to uint8")
    return f"{len(pictures())} pictures"


def _no_view(made: Any) -> str:
    """Say what keeps something from being a view; empty where nothing does."""
    if not isinstance(made, np.ndarray):
        return f"a {type(made).__name__}, not an array"
    if made.dtype != np.uint8:
        return f"{made.dtype}, not uint8"
    if made.ndim != 3 or made.shape[2] != 3 or made.size == 0:
        return f"shape {made.shape}, not (height, width, 3)"
    return ""


@check("every image passes, or has a reason why not", gate=True)
def answered(subject: Subject) -> str:
    """Pictures of many kinds, from 1 x 1 on: None, or an Abstention whose reason is one line."""
    answers = reference(subject)
    refused = [answer for answer in answers.values() if answer is not None]
    return f"{len(refused)} of {len(answers)} pictures refused"


@dataclass(frozen=True, slots=True)
class _Asked:
    """How a kind is asked: what it is given, its answers by name, where two differ, and how to mend that."""

    given: Callable[[Subject], Given]
    answers: Callable[[Subject, Any, Given], Answers]
    unlike: Callable[[Subject, Answers, Answers, tuple[str, str]], list[str]]
    advice: str = ""


def _unlike(word: str) -> Callable[[Subject, Answers, Answers, tuple[str, str]], list[str]]:
    """Return a comparison of answers that are equal or not."""

    def unlike(subject: Subject, one: Answers, other: Answers, words: tuple[str, str]) -> list[str]:
        return [
            f"on {name}: another {word} {words[1]}"
            for name in one
            if fingerprint(one[name]) != fingerprint(other[name])
        ]

    return unlike


def _apply_all(subject: Subject, stage: Any, given: Given, seed: int = 1) -> Answers:
    return {name: stage.apply(picture, seed) for name, picture in given.items()}


def _passed(subject: Subject, stage: Any, given: Given) -> Answers:
    found = {}
    for name, image in given.items():
        try:
            answer = stage.check(image)
        except Exception as error:
            raise subject.raised(f"on {name}", error, "be defined for every picture, however small or flat") from error
        if answer is not None and not isinstance(answer, Abstention):
            raise Failed(f"on {name}: it returned {answer!r:.60}", "return None, or d2f.Abstention('…')")
        if answer is not None and (not answer.reason.strip() or "\n" in answer.reason):
            raise Failed(
                f"on {name}: the reason is {answer.reason!r:.60}", "give it in one line, with what was measured"
            )
        found[name] = answer
    return found


def _fresh_pictures(subject: Subject) -> dict[str, Pixels]:
    return {with_size(name, picture): picture.copy() for name, picture in pictures().items()}


@cache
def _picture_files() -> Mapping[str, ImageFile]:
    return {name: image_file(picture, name) for name, picture in pictures().items()}


ASKED: Mapping[str, _Asked] = {
    "detector": _Asked(
        ordinary,
        lambda subject, stage, given: ask(subject, stage, dict(given)),
        lambda subject, one, other, words: differences(dict(one), dict(other), subject.allowed_difference, words),
        "draw nothing at random, or from a generator seeded by the pixels; keep nothing between images",
    ),
    "preprocessor": _Asked(
        _fresh_pictures,
        _apply_all,
        _unlike("view"),
        "draw from numpy.random.default_rng(seed) and from nothing else; keep nothing between pictures",
    ),
    "precondition": _Asked(
        lambda subject: _picture_files(),
        _passed,
        _unlike("answer"),
        "measure the picture alone; draw nothing at random, keep nothing between images",
    ),
    "calibrator": _Asked(
        lambda subject: dict.fromkeys([f"scores, time {number}" for number in range(20)], scores_of_two_classes()[0]),
        lambda subject, stage, given: {name: stage.probability(scores) for name, scores in given.items()},
        _unlike("probability"),
    ),
}


def reference(subject: Subject) -> Any:
    """Return the answers to ordinary pictures, asked for once for all checks."""
    if "reference" not in subject.notes:
        asked = ASKED[subject.kind]
        subject.notes["reference"] = asked.answers(subject, subject.instance, asked.given(subject))
    return subject.notes["reference"]


@check("what it is given stays as it was")
def pure(subject: Subject) -> str:
    """Pictures, random generators and settings are left alone, and no host is asked."""
    asked = ASKED[subject.kind]
    given = asked.given(subject)
    before = {name: fingerprint(element) for name, element in given.items()}
    with random_state(3), process_state() as changed, watched() as seen:
        asked.answers(subject, subject.instance, given)
    fail_if(
        [f"it changed {name}" for name, element in given.items() if fingerprint(element) != before[name]],
        "work on a copy: what a stage is given is shared with the other stages",
    )
    fail_if(
        [f"it changed {what}" for what in changed],
        "use a generator of its own (numpy.random.default_rng), and numpy.errstate in a with block",
    )
    fail_if([f"it called {host}" for host in dict.fromkeys(seen.called)], "work from the picture alone")
    return ""


def _same_again(subject: Subject) -> str:
    """Again, on a fresh instance, whatever the shared random generators hold."""
    asked, once = ASKED[subject.kind], reference(subject)
    given = asked.given(subject)
    # A detector's neighbours in a batch are another check's business.
    turned = given if subject.kind == "detector" else dict(reversed(list(given.items())))
    with random_state(1):
        again = asked.answers(subject, subject.instance, turned)
    with random_state(2):
        anew = asked.answers(subject, subject.fresh(), given)
    found = asked.unlike(subject, once, again, ("at first", "the second time"))
    fail_if(found or asked.unlike(subject, once, anew, ("from one instance", "from another instance")), asked.advice)
    allowed = subject.allowed_difference
    return f"within {allowed:g}" if allowed else "bit for bit"


deterministic = check("the same image gives the same score")(_same_again)
same_answer = check("its answer depends on the image alone")(_same_again)


@check("the seed is its only randomness")
def seeded(subject: Subject) -> str:
    """The same picture and seed give the same view: again, on a fresh instance, in any order."""
    _same_again(subject)
    other = _apply_all(subject, subject.instance, _fresh_pictures(subject), seed=2)
    drawn = ASKED[subject.kind].unlike(subject, reference(subject), other, ("", ""))
    return "the seed matters" if drawn else "nothing is drawn"


@check("it may be called from threads, as it says")
def thread_safe(subject: Subject) -> str:
    """Four threads at once, on one instance: the same answers."""
    declared = getattr(subject.instance, "thread_safe", False)
    if not isinstance(declared, bool):
        raise Failed(f"thread_safe = {declared!r:.40}", "True or False")
    if not declared and subject.kind == "calibrator":
        raise NotMeant
    if not declared:
        raise Skipped("thread_safe is not set: one thread at a time calls it")
    asked, once = ASKED[subject.kind], reference(subject)
    found: list[str] = []
    lock = threading.Lock()

    def work(number: int) -> None:
        items = list(asked.given(subject).items())
        one = asked.answers(subject, subject.instance, dict(items[number:] + items[:number]))
        with lock:
            found.extend(asked.unlike(subject, once, one, ("alone", "among four threads")))

    in_threads(work, found, subject)
    fail_if(found, "keep nothing of a call on self, or leave thread_safe out")
    return "four at once"
