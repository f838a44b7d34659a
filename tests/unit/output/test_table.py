"""The table: as wide as the terminal, one column under the other, harmless."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from d2f.api.rows import Row
from d2f.output.lines import printable
from d2f.output.table import TableWriter, column_widths, plain_console, shortened
from tests.unit.output.made import GENERATED, HALF, NASTY_NAMES, ROWS, named


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
