"""Stages loaded, each once, before the first image."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from d2f.api.errors import D2FError, Exit, Problem, WeightsMissing
from d2f.engine.findings import STAGE_ERRORS, described
from d2f.engine.plan import Plan
from d2f.plugins.errors import last_frame

# By identity: stages may compare equal by value, or not be hashable at all.
_loaded: dict[int, weakref.ref[Any]] = {}
# Reentrant: a stage's `load` may load another stage.
_lock = threading.RLock()


ALLOW = "to go on without, and have every row say so: --allow-missing"


def load_stages(plan: Plan) -> dict[int, str]:
    """Load the plan's stages but those of its decision.

    A stage that cannot be loaded is an error (exit code 3, all of them at once), unless the plan allows missing
    stages: then the reason is returned by the stage's ``id``.
    """
    missing, problems = _loaded_or_not(plan.stages)
    if plan.allow_missing or not missing:
        return missing
    if all(problem.code.startswith("D2F50") for problem in problems):
        problems[-1] = replace(problems[-1], notes=(*problems[-1].notes, ALLOW))
    raise D2FError(problems, Exit.PLUGIN)


def load_each(stages: Iterable[tuple[str, Any]]) -> None:
    """Load stages, each given with its name in messages; those that cannot be loaded are one error, exit code 3."""
    problems = _loaded_or_not(stages)[1]
    if problems:
        raise D2FError(problems, Exit.PLUGIN)


def _loaded_or_not(stages: Iterable[tuple[str, Any]]) -> tuple[dict[int, str], list[Problem]]:
    """Return the reason of each stage that cannot be loaded, by its ``id``, and all problems."""
    missing: dict[int, str] = {}
    problems: list[Problem] = []
    for called, stage in stages:
        try:
            load_once(stage)
            continue
        except D2FError as error:
            found = [_without_answer(called, problem, error) for problem in error.problems]
        except STAGE_ERRORS as error:
            found = [_not_loaded(called, stage, error)]
        missing[id(stage)] = _reason(found[0])
        problems += found
    return missing, list(dict.fromkeys(problems))


def _without_answer(called: str, problem: Problem, error: D2FError) -> Problem:
    """Return a problem of missing weights with the stage that needs them."""
    if not isinstance(error, WeightsMissing):
        return problem
    return replace(problem, notes=(f"without them {called} cannot score any image", *problem.notes))


def load_once(stage: Any) -> None:
    """Call a stage's `load`, where it has one and it was not called before."""
    load, key = getattr(stage, "load", None), id(stage)
    with _lock:
        known = _loaded.get(key)
        if load is None or (known is not None and known() is stage):
            return
        load()
        with suppress(TypeError):  # a class with slots may allow no weak reference: it loads again
            _loaded[key] = weakref.ref(stage, lambda _: _forget(key))


def _not_loaded(called: str, stage: Any, error: BaseException) -> Problem:
    module = type(stage).__module__
    where = last_frame(error, module.partition(".")[0])
    notes = (
        described(error) + (f"   at {where}" if where else ""),
        f"it comes from module {module}",
        f"to see what is wrong with it: d2f plugin check {getattr(stage, 'name', '')}".rstrip(),
    )
    return Problem("D2F209", f"{called} could not be loaded", notes=notes)


def _forget(key: int) -> None:
    _loaded.pop(key, None)


def _reason(problem: Problem) -> str:
    return "; ".join((problem.message, *problem.notes[-1:]))
