"""Stages loaded, each once, before the first image."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from d2f.api.errors import D2FError, Exit, Problem, WeightsMissing
from d2f.engine.findings import STAGE_ERRORS, said
from d2f.engine.plan import Plan
from d2f.plugins.errors import last_frame

# By identity: stages may compare equal by value, or not be hashable at all.
_loaded: dict[int, weakref.ref[Any]] = {}
_lock = threading.Lock()


def load_stages(plan: Plan) -> dict[int, str]:
    """Load the plan's preprocessors and detectors."""
    return load_each(_stages(plan))


def load_each(stages: Iterable[tuple[str, Any]]) -> dict[int, str]:
    """Load stages, each given with what messages call it; see `load_stages`."""
    missing: dict[int, str] = {}
    problems: list[Problem] = []
    for called, stage in stages:
        try:
            load_once(stage)
        except WeightsMissing as error:
            missing[id(stage)] = _reason(error)
        except D2FError as error:
            problems += error.problems
        except STAGE_ERRORS as error:
            problems.append(_not_loaded(called, stage, error))
    if problems:
        raise D2FError(problems, Exit.PLUGIN)
    return missing


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
        said(error) + (f"   at {where}" if where else ""),
        f"it comes from module {module}",
        f"to see what is wrong with it: d2f plugin check {getattr(stage, 'name', '')}".rstrip(),
    )
    return Problem("D2F209", f"{called} could not be loaded", notes=notes)


def _forget(key: int) -> None:
    _loaded.pop(key, None)


def _stages(plan: Plan) -> Iterator[tuple[str, Any]]:
    for view, steps in plan.views.items():
        for step in steps:
            yield f"preprocessor {step.stage.name!r} of view {view!r}", step.stage
    for detector in plan.detectors:
        yield f"detector {detector.id!r}", detector.stage


def _reason(error: WeightsMissing) -> str:
    problem = error.problems[0]
    return "; ".join((problem.message, *problem.notes[-1:]))
