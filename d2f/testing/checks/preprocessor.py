"""Preprocessors: view to view."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from d2f.testing.audit import watched
from d2f.testing.check import Failed, Skipped, check, fail_if
from d2f.testing.pictures import pictures, with_size
from d2f.testing.subject import Subject
from d2f.testing.threads import in_threads
from d2f.testing.unchanged import fingerprint, process_state, random_state

if TYPE_CHECKING:
    from d2f.api.arrays import Pixels

SEEDS = (0, 1, 2**64 - 1)
"""Seeds are 64 bits: both ends and one between."""


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


@check("what it is given stays as it was")
def pure(subject: Subject) -> str:
    """The picture, the shared random generators and the process's settings are left alone."""
    given = {name: picture.copy() for name, picture in pictures().items()}
    before = {name: fingerprint(picture) for name, picture in given.items()}
    with random_state(3), process_state() as changed, watched() as seen:
        for picture in given.values():
            subject.instance.apply(picture, 1)
    fail_if(
        [f"it changed {with_size(name, one)}" for name, one in given.items() if fingerprint(one) != before[name]],
        "work on a copy: the picture is shared with the other views and detectors",
    )
    fail_if(
        [f"it changed {what}" for what in changed], "use numpy.random.default_rng(seed), and errstate in a with block"
    )
    fail_if([f"it called {host}" for host in dict.fromkeys(seen.called)], "work from the picture alone")
    return ""


@check("the seed is its only randomness")
def seeded(subject: Subject) -> str:
    """The same picture and seed give the same view: again, on a fresh instance, in any order."""
    given = pictures()
    once = _all(subject.instance, given)
    with random_state(1):
        again = _all(subject.instance, {name: given[name] for name in reversed(list(given))})
    with random_state(2):
        anew = _all(subject.fresh(), given)
    found = [f"on {with_size(name, given[name])}: another view the second time" for name in _unlike(once, again)]
    found += [f"on {with_size(name, given[name])}: another view from another instance" for name in _unlike(once, anew)]
    fail_if(found, "draw from numpy.random.default_rng(seed) and from nothing else; keep nothing between pictures")
    other = _all(subject.instance, given, seed=2)
    return "the seed matters" if _unlike(once, other) else "nothing is drawn"


@check("it may be called from threads, as it says")
def thread_safe(subject: Subject) -> str:
    """Four threads at once, on one instance: the same views."""
    declared = getattr(subject.instance, "thread_safe", False)
    if not isinstance(declared, bool):
        raise Failed(f"thread_safe = {declared!r:.40}", "True or False")
    if not declared:
        raise Skipped("thread_safe is not set: one thread at a time calls it")
    given = pictures()
    once = _all(subject.instance, given)
    found: list[str] = []
    lock = threading.Lock()

    def work(number: int) -> None:
        names = list(given)[number:] + list(given)[:number]
        made = _all(subject.instance, {name: given[name] for name in names})
        with lock:
            found.extend(
                f"on {with_size(name, given[name])}: another view among four threads" for name in _unlike(once, made)
            )

    in_threads(work, found, subject)
    fail_if(found, "keep nothing of a call on self, or leave thread_safe out")
    return "four at once"


def _all(stage: Any, given: Any, seed: int = 1) -> dict[str, Pixels]:
    return {name: stage.apply(picture, seed) for name, picture in given.items()}


def _unlike(one: dict[str, Pixels], other: dict[str, Pixels]) -> list[str]:
    return [name for name in one if fingerprint(one[name]) != fingerprint(other[name])]


def _no_view(made: Any) -> str:
    """Say what keeps something from being a view; empty where nothing does."""
    import numpy as np

    if not isinstance(made, np.ndarray):
        return f"a {type(made).__name__}, not an array"
    if made.dtype != np.uint8:
        return f"{made.dtype}, not uint8"
    if made.ndim != 3 or made.shape[2] != 3 or made.size == 0:
        return f"shape {made.shape}, not (height, width, 3)"
    return ""
