"""What a person reads of a run: the table, as wide as the terminal, and the summary."""

from __future__ import annotations

import dataclasses
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from d2f.api.errors import Exit
from d2f.api.inputs import Note
from d2f.api.rows import Failure, Member, Missing, Row
from d2f.output import Summary
from d2f.output.lines import printable
from d2f.output.summary import MOST_REASONS
from d2f.output.table import TableWriter, column_widths, plain_console, shortened
from tests.unit.output.made import BROKEN, GENERATED, HALF, HEAD, NASTY_NAMES, REAL, ROWS, named

# The summary: what is counted, in which words, in how much memory.


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


# The table: as wide as the terminal, one column under the other, harmless.


def printed(rows: tuple[Row, ...], console: Console) -> str:
    writer = TableWriter(console)
    for row in rows:
        writer.write(row)
    writer.close()
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def plain(*rows: Row) -> str:
    return printed(rows, plain_console(io.StringIO()))


def terminal(width: int) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, color_system="standard", _environ={})


def test_each_kind_of_row() -> None:
    assert plain(*ROWS).splitlines() == [
        "file                     verdict, probability           evidence: + AI, - camera",
        "a.jpg                    AI-generated           0.9710  +2.0 provenance/plain:",
        "                                                        C2PA manifest signed by",
        "                                                        a generator",
        "                                                        +1.9 resnet/plain",
        "                                                        c2pa: made by a",
        "                                                        generator (valid; signer",
        "                                                        unknown)",
        "                                                        disagreement: resnet:",
        "                                                        plain AI-generated,",
        "                                                        denoised no sign of",
        "                                                        generation",
        "                                                        disagreement: noise:",
        "                                                        plain no sign of",
        "                                                        generation, jpeg",
        "                                                        AI-generated",
        "b.png                    no sign of generation  0.0120  +2.0 provenance/plain:",
        "                                                        C2PA manifest signed by",
        "                                                        a generator",
        "                                                        +1.9 resnet/plain",
        "                                                        c2pa: made by a",
        "                                                        generator (valid; signer",
        "                                                        unknown)",
        "half.jpg                 inconclusive                   resnet/plain D2F401:",
        "                                                        ValueError: a, b: c",
        "                                                        note: grey",
        "broken.jpg               failed                         D2F304: the image is",
        "                                                        damaged or truncated",
    ]


def test_headings_stand_without_rows() -> None:
    assert plain() == "file                     verdict, probability           evidence: + AI, - camera\n"


def test_a_terminal_has_colour_and_a_rule() -> None:
    text = printed((HALF, GENERATED), terminal(100))
    head, rule, *_ = text.splitlines()
    assert head.startswith("\x1b[1mfile ")
    assert rule.startswith("\x1b[2m─────")
    assert "\x1b[33minconclusive" in text
    assert "\x1b[31mAI-generated           0.9710\x1b[0m" in text


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    rows = (*ROWS, *(named(name) for name in NASTY_NAMES), named("写真" * 60), named("x" * 300))
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    lines = printed(rows, console).splitlines()
    assert max(cell_len(line) for line in lines) <= width
    assert sum(column_widths(width)) + 4 == width


def test_a_hostile_name_stays_on_its_line_and_writes_no_escape() -> None:
    lines = plain(named("a\nb\x1b[31m\u202e.jpg")).splitlines()
    assert lines[1].startswith("a\\nb\\x1b[31m\\u202e.jpg ")
    assert "[31m" not in plain(named("[bold]a[/bold].jpg"))
    assert "[bold]a[/bold].jpg" in plain(named("[bold]a[/bold].jpg"))


@pytest.mark.parametrize(
    ("path", "width", "short"),
    [
        ("short.jpg", 20, "short.jpg"),
        ("holidays/2019/island/IMG_0001.jpg", 24, "holidays/2…/IMG_0001.jpg"),
        ("very-long-name-in-no-folder.jpg", 20, "very-long…folder.jpg"),
        ("a/very-long-name-without-any-folder-to-cut.jpg", 20, "a/very-lo…to-cut.jpg"),
        ("写真/2019/夏休み/とても長い名前の写真です.jpg", 26, "写真/2019/夏…写真です.jpg"),
    ],
)
def test_shortened(path: str, width: int, short: str) -> None:
    assert shortened(path, width) == short


@given(st.text(min_size=1), st.integers(12, 60))
def test_shortened_fits_and_keeps_its_end(text: str, width: int) -> None:
    path = printable(text)
    short = shortened(path, width)
    assert cell_len(short) <= width
    assert short == path or (short.partition("…")[2] and path.endswith(short.rpartition("…")[2]))
