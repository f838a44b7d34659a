"""From scores to a verdict: calibration of each member, combination, prior, thresholds; then the trial of stability.

The same arithmetic serves one row of a run and the whole table of a fit or a bench. Why a verdict is inconclusive is
decided in `row` and `verdict_of`, and said in `_notes`. A chain names small changes (`verdict.stability`) that may not
turn a verdict, and how near to a threshold a probability must lie to be tried under them (`verdict.stable_within`,
fitted), so that the cost stays small. `judged_rows` makes the rows of every engine.
"""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError, Exit, Problem
from d2f.api.inputs import Floats, ImageFile, Note
from d2f.api.outcomes import Evidence, StageFinished
from d2f.api.rows import Failure, Member, Missing, Row, Verdict
from d2f.api.stages import Calibrator
from d2f.engine.findings import STAGE_ERRORS, Observe, Watch, clipped, expit, failure_of, load_each, logit
from d2f.engine.plan import Decision, Plan, Scored, Step
from d2f.engine.prefetch import defer_errors
from d2f.engine.views import apply_step

if TYPE_CHECKING:
    from d2f.engine.local import LocalEngine
    from d2f.images.read import Unread

PARTLY_SEEN = 0.5
"""A row says so where no detector looked at this share of the picture's pixels."""

DECIMALS = 4
"""Probabilities, ratios and contributions are rounded to this many decimals; scores are not."""


def row(plan: Plan, scored: Scored, judged: Judged | None = None, problem: Problem | None = None) -> Row:
    """Return the row of one image."""
    failure = Failure(problem.code, problem.message) if problem is not None else scored.failure
    members, probability, llr = scored.members, None, None
    verdict: Verdict | None = None
    disagreements: tuple[str, ...] = ()
    lost = scored.lost
    notes = list(scored.notes)
    if judged is not None and plan.decision is not None:
        members = tuple(_member(member, judged, index) for index, member in enumerate(members))
        lost = (*scored.lost, *_lost(members))
        probability, llr = rounded(judged.probability[0]), rounded(judged.llr[0])
        verdict = "inconclusive" if lost else verdict_of(probability, plan.decision)
        disagreements = disagreements_of(members, plan.decision)
        notes += _notes(members, plan.decision, scored.refused, probability)
    with_evidence, from_evidence = None, evidence_llr(scored.evidence)
    if from_evidence is not None:
        prior = plan.decision.prior if plan.decision is not None else 0.5
        pixels = float(judged.llr[0]) if judged is not None and math.isfinite(judged.llr[0]) else 0.0
        with_evidence = rounded(float(expit(np.array(pixels + from_evidence + math.log(prior) - math.log1p(-prior)))))
    of_file = {name: getattr(scored, name) for name in ("path", "sha256", "width", "height", "format", "frames")}
    return Row(
        **of_file,
        probability=probability,
        verdict=verdict,
        llr=llr,
        notes=tuple(notes),
        missing=(*scored.missing, *lost),
        disagreements=disagreements,
        evidence=scored.evidence,
        llr_provenance=from_evidence,
        probability_with_provenance=with_evidence,
        stages=members,
        chain=plan.name,
        chain_digest=plan.digest,
        plugins=plan.plugins,
        error=failure,
    )


def _lost(members: Sequence[Member]) -> Iterator[Missing]:
    """Yield the detectors that failed on an image, each with its first error."""
    for detector in dict.fromkeys(member.detector for member in members if member.error is not None):
        error = next(member.error for member in members if member.detector == detector and member.error is not None)
        yield Missing(detector, f"{error.code}: {error.message}")


def _notes(members: Sequence[Member], decision: Decision, refused: bool, probability: float | None) -> Iterator[Note]:
    """Yield the caveats of a verdict that preconditions let pass."""
    if refused:
        return
    if decision.unfitted:
        yield Note("not-fitted", "the chain is not fitted: it gives scores, and every verdict is inconclusive")
    elif probability is None:
        count = sum(member.probability is not None for member in members)
        yield Note("too-few-scores", f"{count} of the {max(1, decision.need)} scores that a verdict needs")
    shares = [1.0 if member.seen is None else member.seen for member in members if member.score is not None]
    if shares and max(shares) < PARTLY_SEEN:
        yield Note("partly-seen", f"the detectors looked at {max(shares):.1%} of the picture's pixels, at most")


def evidence_llr(evidence: Sequence[Evidence]) -> float | None:
    """Return the log-likelihood ratio of a file's evidence in nats; None where none has a ratio other than 0.

    Findings of one file are not independent of each other: of those on one side only the strongest counts.
    """
    ratios = [one.llr for one in evidence if math.isfinite(one.llr) and one.llr]
    return rounded(max(0.0, *ratios) + min(0.0, *ratios)) if ratios else None


def rounded(value: float) -> float | None:
    """Round to 4 decimals; None for NaN, and no negative zero."""
    return None if math.isnan(value) else round(float(value), DECIMALS) + 0.0


def verdict_of(probability: float | None, decision: Decision) -> Verdict:
    """Compare a rounded probability with the thresholds; without one the verdict is `inconclusive`."""
    if probability is None:
        return "inconclusive"
    if probability > decision.generated_above:
        return "generated"
    return "real" if probability < decision.real_below else "inconclusive"


def disagreements_of(members: Sequence[Member], decision: Decision) -> tuple[str, ...]:
    """Return the detectors that find `generated` in one view and `real` in another, at even prior.

    Each is one line such as ``"resnet: plain generated, denoised real"``: the views that are past a
    threshold, in the chain's order.
    """
    found: dict[str, list[tuple[str, Verdict]]] = {}
    for member in members:
        verdict = verdict_of(member.probability, decision)
        if verdict != "inconclusive":
            found.setdefault(member.detector, []).append((member.view, verdict))
    return tuple(
        f"{detector}: " + ", ".join(f"{view} {verdict}" for view, verdict in views)
        for detector, views in found.items()
        if len({verdict for _, verdict in views}) > 1
    )


def _member(member: Member, judged: Judged, index: int) -> Member:
    if judged.miscalibrated[0, index]:
        message = f"the calibrator gave no probability for the score {member.score!r}"
        return replace(member, error=Failure("D2F406", message))
    probability = rounded(judged.member_probabilities[0, index])
    return replace(member, probability=probability, contribution=rounded(judged.contributions[0, index]))


@dataclass(frozen=True, slots=True)
class Judged:
    """The probabilities of n images under a decision."""

    member_probabilities: Floats  # (n, members), float64
    miscalibrated: NDArray[np.bool_]  # (n, members), bool
    llr: Floats  # (n,), float64
    contributions: Floats  # (n, members), float64
    probability: Floats  # (n,), float64


class Judge:
    """A plan's decision, ready to be applied."""

    def __init__(self, plan: Plan, observe: Observe | None = None) -> None:
        if plan.decision is None:
            raise D2FError.of("D2F127", f"chain {plan.name!r} has no combiner, so it gives scores only")
        self.plan = plan
        self.decision: Decision = plan.decision
        self._watch = Watch(observe)
        self._prior = math.log(self.decision.prior) - math.log1p(-self.decision.prior)
        self._calibrators = [self.decision.calibrators.get(name) for name in plan.member_names]
        load_each(self._stages())

    def _stages(self) -> Iterator[tuple[str, Any]]:
        for name, calibrator in zip(self.plan.member_names, self._calibrators, strict=True):
            if calibrator is not None:
                yield f"the calibrator of {name!r}", calibrator
        yield "the combiner", self.decision.combiner
        if self.decision.chain_calibrator is not None:
            yield "the chain's own calibrator", self.decision.chain_calibrator

    def row(self, scored: Scored) -> Row:
        """Return the finished row of one image; what goes wrong is stated in it, never raised."""
        if scored.failure is not None:
            return row(self.plan, scored)
        try:
            judged = self.probabilities(np.array([scored.scores], dtype=np.float64))
        except D2FError as error:
            return row(self.plan, scored, problem=error.problems[0])
        return row(self.plan, scored, judged)

    def probabilities(self, scores: Floats) -> Judged:
        """Judge a table of scores.

        `scores` shape (n, members), float64.
        """
        members, miscalibrated = self._calibrated(scores)
        enough = np.isfinite(members).sum(axis=1) >= max(1, self.decision.need)
        llr = np.full(len(scores), np.nan)
        contributions = np.full(scores.shape, np.nan)
        if enough.any():
            llr[enough], contributions[enough] = self._combined(members[enough])
        contributions[np.isnan(members)] = np.nan
        probability = np.round(expit(llr + self._prior), 4)
        return Judged(members, miscalibrated, llr, contributions, probability)

    def _calibrated(self, scores: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        members = np.full(scores.shape, np.nan)
        bad = np.zeros(scores.shape, dtype=bool)
        for column, calibrator in enumerate(self._calibrators):
            scored = np.isfinite(scores[:, column])
            if calibrator is None or not scored.any():
                continue
            found = _probability(calibrator, np.ascontiguousarray(scores[scored, column]))
            members[scored, column] = found
            bad[scored, column] = np.isnan(found)
        return clipped(members), bad

    def _combined(self, members: Floats) -> tuple[Floats, Floats]:
        """Return ratio and contributions of rows that hold enough members."""
        begun = time.perf_counter()
        try:
            combination = self.decision.combiner.combine(members)
            llr = np.asarray(combination.llr, dtype=np.float64)
            contributions = np.asarray(combination.contributions, dtype=np.float64)
        except STAGE_ERRORS as error:
            failure = failure_of(error, "D2F407", "the combiner raised ")
            raise _broken(failure.code, failure.message) from error
        fits = llr.shape == (len(members),) and contributions.shape == members.shape and np.isfinite(llr).all()
        if not fits or not np.isfinite(contributions[np.isfinite(members)]).all():
            raise _broken("D2F407", "the combiner returned something that is not one finite ratio an image")
        self._watch.notify(StageFinished("combiner", "combiner", "", len(members), time.perf_counter() - begun))
        return self._recalibrated(llr), contributions

    def _recalibrated(self, llr: Floats) -> Floats:
        if self.decision.chain_calibrator is None:
            return llr
        found = _probability(self.decision.chain_calibrator, llr)
        if np.isnan(found).any():
            raise _broken("D2F406", "the chain's own calibrator returned something that is not a probability")
        return logit(clipped(found))


def _probability(calibrator: Calibrator, scores: Floats) -> Floats:
    """Return the calibrator's probabilities, NaN where it gave none within [0, 1]."""
    try:
        found = np.array(calibrator.probability(scores), dtype=np.float64)
    except STAGE_ERRORS:  # a broken calibrator costs its own members, which say so
        return np.full(scores.shape, np.nan)
    if found.shape != scores.shape:
        return np.full(scores.shape, np.nan)
    found[~((found >= 0.0) & (found <= 1.0))] = np.nan
    return found


def _broken(code: str, message: str) -> D2FError:
    return D2FError.of(code, message, exit=Exit.PLUGIN)


UNSTABLE = "unstable"
"""Code of the note of a verdict that does not hold."""

WAITING = 8
"""Images near a threshold that are tried together; rows behind the first of them wait."""

ROWS_WAITING = 64
"""So many rows at most, so that a run that is killed has lost no more."""


def judged_rows(engine: LocalEngine, judge: Judge, images: Iterable[ImageFile | Unread]) -> Iterator[Row]:
    """Score images and judge them, in order; a verdict that does not hold under the chain's small changes says so."""
    if judge.decision.stability:
        yield from _Trial(engine, judge).rows(images)
        return
    for scored in engine.score(images):
        yield judge.row(scored)


def changed(image: ImageFile, step: Step) -> ImageFile | Failure:
    """Return an image under a small change; its views draw the same noise as the image's own."""
    pixels = apply_step(step, 0, image.pixels, image.seed, " of `verdict.stability`")
    if isinstance(pixels, Failure):
        return pixels
    return replace(image, pixels=pixels, height=pixels.shape[0], width=pixels.shape[1])


@dataclass(slots=True, eq=False)
class _Waiting:
    """A row that is not written yet; `image` where its verdict is to be tried."""

    row: Row
    image: ImageFile | None


class _Trial:
    """Tries the verdicts of one run."""

    def __init__(self, engine: LocalEngine, judge: Judge) -> None:
        self._engine, self._judge = engine, judge
        self._waiting: deque[_Waiting] = deque()

    def rows(self, images: Iterable[ImageFile | Unread]) -> Iterator[Row]:
        held: deque[ImageFile | Unread] = deque()

        def remembered() -> Iterator[ImageFile | Unread]:
            for image in images:
                held.append(image)
                yield image

        errors: list[Exception] = []
        near = 0
        for scored in defer_errors(self._engine.score(remembered()), errors):
            one = self._judged(scored, held.popleft())
            self._waiting.append(one)
            near += one.image is not None
            if not 0 < near < WAITING or len(self._waiting) >= ROWS_WAITING:
                yield from self._settled()
                near = 0
        yield from self._settled()
        if errors:
            raise errors[0]

    def _judged(self, scored: Scored, image: ImageFile | Unread) -> _Waiting:
        row, decision = self._judge.row(scored), self._judge.decision
        decided = row.verdict in ("generated", "real") and isinstance(image, ImageFile)
        near = decided and row.probability is not None and decision.margin(row.probability) <= decision.stable_within
        return _Waiting(row, image if near and isinstance(image, ImageFile) else None)

    def _settled(self) -> Iterator[Row]:
        """Try what waits under each change in turn, and yield every waiting row."""
        for step in self._judge.decision.stability:
            copies: list[tuple[_Waiting, ImageFile]] = []
            for one in self._waiting:
                if one.image is None or one.row.verdict == "inconclusive":
                    continue
                copy = changed(one.image, step)
                if isinstance(copy, Failure):
                    lost = Missing(json.loads(step.key)["use"], f"{copy.code}: {copy.message}")
                    one.row = replace(one.row, verdict="inconclusive", missing=(*one.row.missing, lost))
                else:
                    copies.append((one, copy))
            # Preconditions and evidence are settled by the image itself.
            again = self._engine.score((copy for _, copy in copies), examine=False)
            for (one, _), scored in zip(copies, again, strict=True):
                one.row = _settled_row(one.row, self._judge.row(scored), step)
        while self._waiting:
            yield self._waiting.popleft().row


def _settled_row(row: Row, again: Row, step: Step) -> Row:
    """Return the row as it stays beside the row of its changed copy."""
    if again.verdict == row.verdict:
        return row
    facts = json.loads(step.key)
    words = ", ".join([facts["use"], *(f"{name} {value}" for name, value in facts["with"].items())])
    found = "no probability" if again.probability is None else f"probability {again.probability:.4f}"
    message = (
        f"a small change of the picture ({words}) turns the verdict: {row.verdict} (probability "
        f"{row.probability:.4f}) without it, {again.verdict or 'none'} ({found}) with it"
    )
    lost = [one for one in again.missing if one not in row.missing]
    notes = (*row.notes, Note(UNSTABLE, message))
    return replace(row, verdict="inconclusive", notes=notes, missing=(*row.missing, *lost))
