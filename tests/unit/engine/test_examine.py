"""Preconditions and evidence readers: when they run, what they decide, and what becomes of one that fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from d2f import Abstention, D2FError, Evidence, Failure, Missing, Note, WeightsMissing
from d2f.engine.judge import Judge, evidence_llr
from d2f.engine.local import score_images
from d2f.engine.plan import Decision, FileCheck, Plan, Scored
from d2f.images.read import Unread

from .toys import Bytes, Sigmoid, SumOfLogits, TileFunction, Whole, picture, plan_of


def mean(pixels: Any) -> float:
    return float(pixels.mean())


class Check:
    """A precondition that calls a function of the image."""

    summary = "toy"

    def __init__(self, function: Callable[[Any], Any], name: str = "colour", thread_safe: bool = True) -> None:
        self.function, self.name, self.thread_safe = function, name, thread_safe

    def check(self, image: Any) -> Any:
        return self.function(image)


class Reader:
    """An evidence reader that calls a function of bytes and pixels."""

    name = "toy-evidence"
    summary = "toy"

    def __init__(self, function: Callable[[bytes, Any], Any]) -> None:
        self.function = function

    def read(self, data: bytes, pixels: Any) -> Any:
        return self.function(data, pixels)


def plan(*checks: Any, evidence: Any = (), **changes: Any) -> Plan:
    detectors = changes.pop("detectors", {"d": (Whole(mean), ["plain"]), "b": (Bytes(lambda _: 1.0), ["plain"])})
    members = [f"{name}/{view}" for name, (_, views) in detectors.items() for view in views]
    decision = Decision({member: Sigmoid(0.01) for member in members}, SumOfLogits())
    require = tuple(FileCheck("precondition", one.name, one) for one in checks)
    readers = tuple(FileCheck("evidence", one.name, one) for one in evidence)
    return replace(plan_of(detectors, {}, decision), require=require, evidence=readers, **changes)


def grey(image: Any) -> Abstention:
    return Abstention("no\ncolour: channels differ by 0.0")


SIGNED = Evidence("c2pa", "made by\na generator", "JPEG APP11", "valid", 3.0)


@pytest.mark.parametrize("thread_safe", [True, False])
def test_a_failed_precondition_is_inconclusive_with_its_reason_and_no_error(thread_safe: bool) -> None:
    detector = Whole(mean)
    chosen = plan(Check(grey, thread_safe=thread_safe), detectors={"d": (detector, ["plain"])})
    (scored,) = score_images(chosen, [picture(1)])
    row = Judge(chosen).row(scored)
    assert (row.verdict, row.probability, row.llr, row.error) == ("inconclusive", None, None, None)
    assert row.notes == (Note("colour", "no colour: channels differ by 0.0"),)
    assert row.stages[0].abstained == "not run: the image fails precondition 'colour'"
    assert detector.batches == []
    assert row.missing == ()


def test_every_failed_precondition_is_named() -> None:
    small = Check(lambda _: Abstention("48 pixels"), "size")
    passed = Check(lambda _: None, "photographic")
    (scored,) = score_images(plan(Check(grey), passed, small), [picture(1)])
    assert [note.code for note in scored.notes] == ["colour", "size"]
    judged = Judge(plan(Check(grey), passed, small)).row(scored)
    assert judged.stages[0].abstained == "not run: the image fails preconditions 'colour', 'size'"


def test_an_image_that_passes_is_judged_as_without_preconditions() -> None:
    (checked,) = score_images(plan(Check(lambda _: None)), [picture(1)])
    (free,) = score_images(plan(), [picture(1)])
    assert checked == free
    assert not checked.refused


def test_a_precondition_that_fails_to_work_is_lost_and_the_verdict_inconclusive() -> None:
    for function, message in (
        (lambda _: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda _: "grey", "TypeError: check returned 'grey', not None or an Abstention"),
    ):
        chosen = plan(Check(function))
        (scored,) = score_images(chosen, [picture(1)])
        row = Judge(chosen).row(scored)
        assert row.missing == (Missing("colour", f"D2F408: precondition 'colour' raised {message}"),)
        assert row.verdict == "inconclusive"
        assert row.probability is not None


def test_evidence_is_read_of_every_file() -> None:
    given: list[tuple[bytes, bool]] = []

    def read(data: bytes, pixels: Any) -> list[Evidence]:
        given.append((data, pixels is not None))
        return [SIGNED]

    broken = Unread("b.jpg", Failure("D2F304", "damaged"), data=b"bytes")
    chosen = plan(Check(grey), evidence=[Reader(read)])
    images = [picture(1), broken, Unread("gone.jpg", Failure("D2F301", "no"))]
    rows = [Judge(chosen).row(scored) for scored in score_images(chosen, images)]
    assert given == [(picture(1).data, True), (b"bytes", False)]
    for row in rows[:2]:
        assert row.evidence == (replace(SIGNED, statement="made by a generator"),)
        assert (row.llr, row.probability) == (None, None)
        assert (row.llr_provenance, row.probability_with_provenance) == (3.0, 0.9526)
    assert rows[1].error == Failure("D2F304", "damaged")
    assert (rows[2].evidence, rows[2].llr_provenance, rows[2].probability_with_provenance) == ((), None, None)


def test_evidence_does_not_move_the_verdict_of_the_pixels() -> None:
    chosen = plan(evidence=[Reader(lambda *_: [SIGNED])])
    without = plan()
    (with_evidence,), (pixels,) = (
        [Judge(one).row(scored) for scored in score_images(one, [picture(1)])] for one in (chosen, without)
    )
    assert (with_evidence.llr, with_evidence.probability) == (pixels.llr, pixels.probability)
    assert with_evidence.verdict == pixels.verdict
    assert pixels.llr is not None
    odds = pixels.llr + 3.0
    assert with_evidence.probability_with_provenance == pytest.approx(1 / (1 + 2.718281828**-odds), abs=1e-4)


def test_of_findings_on_one_side_only_the_strongest_counts() -> None:
    found = [replace(SIGNED, llr=llr) for llr in (3.0, 6.9, 0.0, -1.0, -2.0)]
    assert evidence_llr(found) == pytest.approx(4.9)
    assert evidence_llr(found[2:3]) is None
    assert evidence_llr(()) is None


@pytest.mark.parametrize("returned", [1 / 3, ["text"], None])
def test_an_evidence_reader_that_returns_something_else_is_lost(returned: Any) -> None:
    (scored,) = score_images(plan(evidence=[Reader(lambda *_: returned)]), [picture(1)])
    (lost,) = scored.lost
    assert lost.detector == "toy-evidence"
    assert lost.reason.startswith("D2F408: evidence reader 'toy-evidence' raised TypeError")


def test_a_missing_precondition_stops_the_run_unless_it_is_allowed() -> None:
    class NotHere(Check):
        def load(self) -> None:
            raise WeightsMissing.of("D2F502", "weights 'c' are not on this machine", "d2f weights pull c")

    chosen = plan(NotHere(grey))
    with pytest.raises(D2FError, match="precondition 'colour' cannot score any image"):
        score_images(chosen, [picture(1)])
    (scored,) = score_images(replace(chosen, allow_missing=True), [picture(1)])
    assert scored.missing == (Missing("colour", "weights 'c' are not on this machine; d2f weights pull c"),)
    assert scored.scores[0] == mean(picture(1).pixels)


def test_a_detector_that_fails_on_an_image_is_missing_and_the_verdict_inconclusive() -> None:
    chosen = plan(detectors={"bad": (Whole(lambda _: 1 / 0), ["plain"]), "good": (Whole(lambda _: 900.0), ["plain"])})
    (scored,) = score_images(chosen, [picture(1)])
    row = Judge(chosen).row(scored)
    assert row.missing == (Missing("bad", "D2F401: ZeroDivisionError: division by zero"),)
    assert row.verdict == "inconclusive"
    assert row.probability == 0.9999


def test_too_few_scores_are_a_note() -> None:
    chosen = plan(detectors={"d": (Whole(lambda _: Abstention("no")), ["plain"])})
    (scored,) = score_images(chosen, [picture(1)])
    assert Judge(chosen).row(scored).notes == (Note("too-few-scores", "0 of the 1 scores that a verdict needs"),)
    unfitted = replace(chosen, decision=Decision({}, SumOfLogits()))
    assert [note.code for note in Judge(unfitted).row(scored).notes] == ["not-fitted"]


def test_a_row_says_which_share_of_the_picture_was_seen() -> None:
    from d2f import Score, Tiles

    tiles = TileFunction(Tiles(size=16, count=2, pick="grid"), mean)
    window = Whole(lambda p: Score(mean(p), seen=0.25))
    chosen = plan(detectors={"t": (tiles, ["plain"]), "w": (window, ["plain"])})
    (scored,) = score_images(chosen, [picture(1, 48, 64)])
    row = Judge(chosen).row(scored)
    assert [member.seen for member in row.stages] == [round(2 * 16 * 16 / (48 * 64), 4), 0.25]
    assert row.notes == (Note("partly-seen", "the detectors looked at 25.0% of the picture's pixels, at most"),)
    whole = plan(detectors={"d": (Whole(mean), ["plain"]), "t": (tiles, ["plain"])})
    (scored,) = score_images(whole, [picture(1, 48, 64)])
    assert Judge(whole).row(scored).notes == ()


def test_notes_and_frames_of_the_file_stand_in_the_row() -> None:
    image = replace(picture(1), frames=3, notes=(Note("frames", "the first of 3 frames"),))
    (scored,) = score_images(plan(), [image])
    row = Judge(plan()).row(scored)
    assert (row.frames, row.notes) == (3, image.notes)
    assert Judge(plan()).row(Scored("a", None, None, None, None, (), Failure("D2F301", "no"))).frames is None
