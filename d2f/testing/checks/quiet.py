"""A stage says nothing on its own: what d2f prints is read by programs."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable

from d2f.testing.batches import ask, hard, ordinary
from d2f.testing.check import Failed, check, fail_if
from d2f.testing.pictures import pictures
from d2f.testing.subject import Subject


@check("it prints nothing and warns of nothing")
def quiet(subject: Subject) -> str:
    """On ordinary, tiny and flat pictures: nothing on stdout or stderr, no warning."""
    printed = io.StringIO()
    aside = contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed)
    with warnings.catch_warnings(record=True) as caught, aside[0], aside[1]:
        warnings.simplefilter("always")
        for call in _calls(subject):
            # What it raises is other checks' business.
            with contextlib.suppress(Failed):
                call()
    said = [f"it warned: {one.category.__name__}: {one.message}" for one in caught]
    said += [f"it printed {line!r:.70}" for line in printed.getvalue().splitlines()[:1]]
    fail_if(
        dict.fromkeys(said),
        "abstain before dividing by zero; put what a person should know into d2f.Score(…, evidence='…')",
    )
    return ""


def _calls(subject: Subject) -> list[Callable[[], object]]:
    stage = subject.instance
    if subject.kind == "detector":
        given = {**ordinary(subject), **hard(subject)}
        return [lambda one=name: ask(subject, stage, {one: given[one]}) for name in given]  # type: ignore[misc]
    return [lambda one=one: stage.apply(one, 1) for one in pictures().values()]  # type: ignore[misc]
