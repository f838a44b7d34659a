"""Outcomes of stages checked and pooled, observers notified, and the log-odds of probabilities."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

import numpy as np

from d2f.api.inputs import Floats, ImageFile, Pixels
from d2f.api.outcomes import Abstention, Score, StageFinished
from d2f.api.rows import Failure, Member
from d2f.api.stages import Detector

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
    def timed(self, kind: str, name: str, view: str = "", images: int = 1) -> Iterator[None]:
        """Notify the observer of what runs within this context, once it has ended."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.notify(StageFinished(kind, name, view, images, time.perf_counter() - begun))

    def notify(self, event: StageFinished) -> None:
        """Notify the observer."""
        if self._observe is not None:
            with _notifying, suppress(Exception):
                self._observe(event)


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
