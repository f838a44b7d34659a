"""Stages loaded and called: each once, their outcomes checked and pooled, files examined, observers notified."""

from __future__ import annotations

import math
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from d2f.api.errors import D2FError, Exit, Problem, WeightsMissing
from d2f.api.inputs import FileBytes, Floats, ImageFile, Note, Pixels
from d2f.api.outcomes import Abstention, Evidence, Score, StageFinished
from d2f.api.rows import Failure, Member, Missing
from d2f.api.stages import Detector
from d2f.engine.plan import FileCheck, Plan
from d2f.images.read import Unread
from d2f.plugins.entries import noun
from d2f.plugins.errors import last_frame

Finding: TypeAlias = Score | Abstention | Failure
STAGE_ERRORS = (Exception, SystemExit)
"""What a stage may raise without ending the run; an interrupt passes."""


class StageLost(Exception):
    """Raised in place of a call of a stage that may not run, with the error that its members are given."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def failure_of(error: BaseException, code: str, before: str = "") -> Failure:
    """Return what a stage raised as a failure; `before`: the beginning of the message."""
    return error.failure if isinstance(error, StageLost) else Failure(code, before + described(error))


def score_batch(stage: Detector, batch: Sequence[Pixels] | Pixels | Sequence[ImageFile]) -> list[Finding] | Failure:
    """Score a batch; a failure stands for the whole of it."""
    try:
        outcomes = list(stage.score(batch))
    except STAGE_ERRORS as error:
        return failure_of(error, "D2F401")
    if len(outcomes) != len(batch):
        return Failure("D2F402", f"returned {len(outcomes)} scores for a batch of {len(batch)}")
    return [checked_outcome(outcome) for outcome in outcomes]


def checked_outcome(outcome: Any) -> Finding:
    """Check one outcome: D2F403 where it, or a tile of it, is no number; its texts are brought to one line."""
    if isinstance(outcome, Abstention):
        return Abstention(single_line(outcome.reason) or "it gave no reason")
    score = outcome if isinstance(outcome, Score) else Score(outcome)
    value, tiles = _number(score.value), _numbers(score.tiles)
    if not math.isfinite(value):
        return Failure("D2F403", f"returned {single_line(score.value)[:60]!r}, which is not a finite number")
    if tiles is None:
        return Failure(
            "D2F403", f"returned {single_line(score.tiles)[:60]!r} as scores of tiles, which are not numbers"
        )
    seen = _number(score.seen) if score.seen is not None else math.nan
    return Score(value, tiles, single_line(score.evidence), seen if 0.0 < seen <= 1.0 else None)


def _number(value: Any) -> float:
    if isinstance(value, (str, bytes, bool, np.bool_)) or getattr(value, "ndim", None):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _numbers(values: Any) -> tuple[float, ...] | None:
    try:
        return tuple(float(value) for value in values)
    except (TypeError, ValueError, OverflowError):
        return None


def pooled(findings: Sequence[Finding], pool: str) -> Finding:
    """Return one finding for an image's tiles.

    A failed tile fails the image; tiles that abstained are left out (NaN among `Score.tiles`), and
    where all did, so does the image.
    """
    for one in findings:
        if isinstance(one, Failure):
            return one
    scores = [one for one in findings if isinstance(one, Score)]
    if not scores:
        return findings[0]
    values = np.array([score.value for score in scores], dtype=np.float64)
    value = values.max() if pool == "max" else np.median(values) if pool == "median" else values.mean()
    tiles = tuple(one.value if isinstance(one, Score) else math.nan for one in findings)
    return Score(float(value), tiles, next((score.evidence for score in scores if score.evidence), ""))


def as_member(detector: str, view: str, finding: Finding) -> Member:
    """Write a finding as a member without a probability."""
    if isinstance(finding, Failure):
        return Member(detector, view, error=finding)
    if isinstance(finding, Abstention):
        return Member(detector, view, abstained=finding.reason)
    seen = None if finding.seen is None else round(finding.seen, 4)
    return Member(detector, view, finding.value, evidence=finding.evidence or None, seen=seen, tiles=finding.tiles)


def described(error: BaseException) -> str:
    """Return an exception's class and message on one line."""
    words = single_line(error)[:200]
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def single_line(words: Any) -> str:
    """Return a stage's text on one line; empty where it is None or has no text."""
    try:
        return "" if words is None else " ".join(str(words).split())
    except STAGE_ERRORS:  # the stage's own __str__
        return ""


Observe = Callable[[StageFinished], None]

# One for the process: readers, workers and the judge of a run each have a watch, and share an observer.
_notifying = threading.RLock()


class Watch:
    """Times stages and notifies an observer; without one it does nothing."""

    def __init__(self, observe: Observe | None = None) -> None:
        self._observe = observe

    @contextmanager
    def timed(self, kind: str, name: str, view: str = "") -> Iterator[None]:
        """Notify the observer of what runs within this context, once it has ended."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.notify(StageFinished(kind, name, view, 1, time.perf_counter() - begun))

    def notify(self, event: StageFinished) -> None:
        """Notify the observer."""
        if self._observe is not None:
            with _notifying, suppress(Exception):
                self._observe(event)


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
            found = error.problems
            if isinstance(error, WeightsMissing):
                lacking = f"without them {called} cannot score any image"
                found = tuple(replace(problem, notes=(lacking, *problem.notes)) for problem in found)
        except STAGE_ERRORS as error:
            found = (_not_loaded(called, stage, error),)
        missing[id(stage)] = "; ".join((found[0].message, *found[0].notes[-1:]))
        problems += found
    return missing, list(dict.fromkeys(problems))


def load_once(stage: Any) -> None:
    """Call a stage's `load`, where it has one and it was not called before."""
    load, key = getattr(stage, "load", None), id(stage)
    with _lock:
        known = _loaded.get(key)
        if load is None or (known is not None and known() is stage):
            return
        load()
        with suppress(TypeError):  # a class with slots may allow no weak reference: it loads again
            _loaded[key] = weakref.ref(stage, lambda _: _loaded.pop(key, None))


def _not_loaded(called: str, stage: Any, error: BaseException) -> Problem:
    module = type(stage).__module__
    where = last_frame(error, module.partition(".")[0])
    notes = (
        described(error) + (f"   at {where}" if where else ""),
        f"it comes from module {module}",
        f"to see what is wrong with it: d2f plugin check {getattr(stage, 'name', '')}".rstrip(),
    )
    return Problem("D2F209", f"{called} could not be loaded", notes=notes)


NEEDS_FILE = "it reads the file, and only pixels were given"
"""Why a stage gives no answer, or not all of it, for an image that a program holds as pixels."""


@dataclass(frozen=True, slots=True)
class Examined:
    """The findings of a file's preconditions and evidence readers.

    `missing`: stages left out of the whole run; `lost`: those that failed on this file; `refused`: a check failed.
    """

    notes: tuple[Note, ...] = ()
    missing: tuple[Missing, ...] = ()
    lost: tuple[Missing, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    refused: bool = False


class Examiner:
    """Runs a plan's preconditions and evidence readers; may be called from several threads."""

    def __init__(self, plan: Plan, missing: Mapping[int, str], unusable: Mapping[int, str], watch: Watch) -> None:
        checks = (*plan.require, *plan.evidence)
        self._require = [check for check in plan.require if id(check.stage) not in missing]
        self._evidence = [check for check in plan.evidence if id(check.stage) not in missing]
        members = [(plan.members[index][0], reason) for index, reason in sorted(unusable.items())]
        stages = [(one.name, missing[id(one.stage)]) for one in checks if id(one.stage) in missing]
        self._missing = tuple(Missing(*one) for one in dict.fromkeys([*members, *stages]))
        of_bytes = [one.id for one in plan.detectors if isinstance(one.stage.wants, FileBytes)]
        readers = [check.name for check in self._evidence]
        self._without_file = tuple(Missing(name, NEEDS_FILE) for name in (*of_bytes, *readers))
        self._locks = {
            id(one.stage): threading.Lock() for one in checks if not getattr(one.stage, "thread_safe", False)
        }
        self._watch = watch

    def examine(self, image: ImageFile | Unread) -> Examined:
        """Read a file's evidence and, where it was decoded, check its preconditions, all of them."""
        notes: list[Note] = []
        lost: list[Missing] = []
        evidence: list[Evidence] = []
        pixels = image.pixels if isinstance(image, ImageFile) else None
        for check in self._evidence if image.data or pixels is not None else ():
            found = self._run(check, lambda stage: _findings(stage.read(image.data, pixels)))
            if isinstance(found, Failure):
                lost.append(Missing(check.name, f"{found.code}: {found.message}"))
            else:
                evidence += found
        for check in self._require if isinstance(image, ImageFile) else ():
            reason = self._run(check, lambda stage: _reason(stage.check(image)))
            if isinstance(reason, Failure):
                lost.append(Missing(check.name, f"{reason.code}: {reason.message}"))
            elif reason is not None:
                notes.append(Note(check.name, reason))
        missing = self._missing if image.data or pixels is None else (*self._missing, *self._without_file)
        return Examined(tuple(notes), missing, tuple(lost), tuple(evidence), bool(notes))

    def _run(self, check: FileCheck, call: Any) -> Any:
        lock: AbstractContextManager[Any] = self._locks.get(id(check.stage), nullcontext())
        try:
            with lock, self._watch.timed(check.kind, check.name):
                return call(check.stage)
        except STAGE_ERRORS as error:
            return failure_of(error, "D2F408", f"{noun(check.kind)} {check.name!r} raised ")


def _reason(outcome: Any) -> str | None:
    """Return the reason of a failed check, on one line; None where it passed."""
    if outcome is None:
        return None
    if not isinstance(outcome, Abstention):
        raise TypeError(f"check returned {single_line(outcome)[:60]!r}, not None or an Abstention")
    return single_line(outcome.reason) or "no reason given"


def _findings(outcome: Iterable[Any]) -> list[Evidence]:
    """Return an evidence reader's findings with their texts on one line."""
    found = list(outcome)
    for one in found:
        if not isinstance(one, Evidence):
            raise TypeError(f"read returned {single_line(one)[:60]!r} among its findings, not an Evidence")
    texts = ("kind", "statement", "source", "trust", "raw")
    return [
        replace(one, llr=float(one.llr), **{name: single_line(getattr(one, name)) for name in texts}) for one in found
    ]


SMALLEST = 1e-6
"""Probabilities are kept within [SMALLEST, 1 - SMALLEST]: no member may claim more than 13.8 nats."""


def clipped(probabilities: Floats) -> Floats:
    """Return the probabilities within [1e-6, 1 - 1e-6]; NaN stays NaN."""
    return np.clip(probabilities, SMALLEST, 1.0 - SMALLEST)


def logit(probabilities: Floats) -> Floats:
    """Return log(p / (1 - p)), in nats, for probabilities within (0, 1)."""
    return np.log(probabilities) - np.log1p(-probabilities)


def expit(log_odds: Floats) -> Floats:
    """Return 1 / (1 + exp(-x)), without overflow for any finite x."""
    small = np.exp(-np.abs(log_odds))
    return np.where(log_odds >= 0, 1.0, small) / (1.0 + small)
