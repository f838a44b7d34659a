"""Preconditions: an image to None, or to an abstention with its reason."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import cache

from d2f.api.inputs import ImageFile
from d2f.api.outcomes import Abstention
from d2f.testing.batches import fingerprint, in_threads, process_state, random_state
from d2f.testing.pictures import image_file, pictures
from d2f.testing.report import watched
from d2f.testing.subject import Failed, Skipped, Subject, check, fail_if

Answers = Mapping[str, Abstention | None]


@check("every image passes, or has a reason why not", gate=True)
def answered(subject: Subject) -> str:
    """Pictures of many kinds, from 1 x 1 on: None, or an Abstention whose reason is one line."""
    answers = _ask(subject)
    refused = [answer for answer in answers.values() if answer is not None]
    return f"{len(refused)} of {len(answers)} pictures refused"


@check("its answer depends on the image alone")
def repeated(subject: Subject) -> str:
    """Again, on a fresh instance, in any order: the same answer; the image, generators and settings stay."""
    once = _ask(subject)
    before = {name: fingerprint(image.pixels) for name, image in _images().items()}
    with random_state(1), process_state() as changed, watched() as seen:
        again = _ask(subject, reverse=True)
    anew = _ask(subject, fresh=True)
    fail_if(
        [f"on {name}: another answer the second time" for name in once if not once[name] == again[name] == anew[name]],
        "measure the picture alone; draw nothing at random, keep nothing between images",
    )
    fail_if(
        [f"it changed {name}" for name, image in _images().items() if fingerprint(image.pixels) != before[name]]
        + [f"it changed {what}" for what in changed],
        "work on a copy: the picture is shared with the other stages",
    )
    fail_if([f"it called {host}" for host in dict.fromkeys(seen.called)], "measure the picture alone")
    return ""


@check("it may be called from threads, as it says")
def thread_safe(subject: Subject) -> str:
    """Four threads at once, on one instance: the same answers."""
    declared = getattr(subject.instance, "thread_safe", False)
    if not isinstance(declared, bool):
        raise Failed(f"thread_safe = {declared!r:.40}", "True or False")
    if not declared:
        raise Skipped("thread_safe is not set: one thread at a time calls it")
    once = _ask(subject)
    found: list[str] = []
    lock = threading.Lock()

    def work(number: int) -> None:
        one = _ask(subject, reverse=bool(number % 2))
        with lock:
            found.extend(f"on {name}: another answer among four threads" for name in once if one[name] != once[name])

    in_threads(work, found, subject)
    fail_if(found, "keep nothing of a call on self, or leave thread_safe out")
    return "four at once"


@cache
def _images() -> Mapping[str, ImageFile]:
    return {name: image_file(picture, name) for name, picture in pictures().items()}


def _ask(subject: Subject, fresh: bool = False, reverse: bool = False) -> Answers:
    stage = subject.fresh() if fresh else subject.instance
    items = list(_images().items())
    found = {}
    for name, image in reversed(items) if reverse else items:
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
