"""The summary: what is counted, in which words, in how much memory."""

from __future__ import annotations

import dataclasses

from d2f.api.errors import Exit
from d2f.api.inputs import Note
from d2f.api.rows import Failure, Member, Missing
from d2f.output import Summary
from d2f.output.summary import MOST_REASONS
from tests.unit.output.made import BROKEN, GENERATED, HALF, HEAD, REAL, ROWS, named


def test_word_for_word() -> None:
    summary = Summary(HEAD)
    for number, row in enumerate((*ROWS, GENERATED, dataclasses.replace(BROKEN, path="c\n.jpg"))):
        summary.add(row, earlier=number == 0)
    assert list(summary.lines(2.0, "rows.jsonl")) == [
        "6 images: 2 AI-generated, 1 no sign of generation, 1 inconclusive, 2 failed",
        "failed images",
        "       2  D2F304: the image is damaged or truncated; first: broken.jpg",
        "failed members",
        "       1  resnet/plain D2F401: ValueError: a, b: c; first: half.jpg",
        "members that abstained",
        "       1  provenance/plain: no manifest, no metadata; first: half.jpg",
        "caveats",
        "       1  too-few-scores; first: half.jpg: 1 of the 2 scores; needed: 2",
        "       1  colour; first: half.jpg: grey",
        "2 images with a detector whose views disagree",
        "5 in 2.0 s, 2.5 a second; 1 from an earlier run",
        "chain robust, digest 3f9a12c03f9a; rows written to rows.jsonl",
        "A probability holds for images like those that the chain was fitted on.",
    ]


def test_one_image() -> None:
    summary = Summary(HEAD)
    summary.add(REAL)
    first = next(summary.lines(1.0, "rows.csv"))
    assert first == "1 image: 0 AI-generated, 1 no sign of generation, 0 inconclusive, 0 failed"


def test_an_unfitted_chain_s_summary_speaks_of_no_fit() -> None:
    summary = Summary(HEAD)
    summary.add(dataclasses.replace(HALF, notes=(Note("not-fitted", "the chain is not fitted"),)))
    assert list(summary.lines(1.0, "rows.csv"))[-1].startswith("chain robust, digest")


def test_a_run_interrupted_before_its_first_image_does_not_say_that_it_was_through() -> None:
    assert "none was finished" in list(Summary(HEAD).lines(1.0, "rows.csv", ended=False))
    assert "none was left to do" in list(Summary(HEAD).lines(1.0, "rows.csv"))


def test_counts_are_the_same_as_plain_data() -> None:
    summary = Summary(HEAD)
    for number, row in enumerate((*ROWS, GENERATED)):
        summary.add(row, earlier=number == 0)
    found = summary.counts(1.23456, ended=False)
    assert list(found.items())[:7] == [
        ("chain", "robust"),
        ("chain_digest", HEAD.digest),
        ("images", 5),
        ("verdicts", {"generated": 2, "real": 1, "inconclusive": 1, "failed": 1}),
        ("earlier", 1),
        ("ended", False),
        ("seconds", 1.235),
    ]


def test_exit_codes() -> None:
    def ended(*rows: object) -> Exit:
        summary = Summary(HEAD)
        for row in rows:
            summary.add(row)  # type: ignore[arg-type]
        return summary.exit

    abstained = dataclasses.replace(HALF, stages=HALF.stages[1:], missing=())
    assert ended() == ended(GENERATED, REAL) == ended(abstained) == Exit.OK
    unread = dataclasses.replace(REAL, missing=(Missing("provenance", "D2F408: it raised OSError: disk"),))
    allowed = dataclasses.replace(REAL, missing=(Missing("tower", "weights 'tower' are not on this machine"),))
    assert ended(unread) == Exit.SOME_FAILED
    assert ended(allowed) == Exit.OK
    assert ended(HALF) == ended(BROKEN) == ended(GENERATED, BROKEN, REAL) == Exit.SOME_FAILED


def test_reasons_do_not_grow_with_the_images() -> None:
    summary = Summary(HEAD)
    for number in range(1000):
        member = Member("resnet", "plain", error=Failure("D2F401", f"ValueError: temperature {number}"))
        summary.add(dataclasses.replace(named(f"{number}.jpg"), stages=(member,), disagreements=()))
    lines = list(summary.lines(1.0, "rows.csv"))
    assert lines[2] == f"{1000 - MOST_REASONS:>8}  other reasons; first: {MOST_REASONS}.jpg"
    assert lines[3] == "       1  resnet/plain D2F401: ValueError: temperature 0; first: 0.jpg"
    assert lines[12] == f"{MOST_REASONS - 9:>8}  more, of {MOST_REASONS - 9} kinds"
    assert summary.exit == Exit.SOME_FAILED
