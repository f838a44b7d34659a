"""One line of a text under an error: clipped, safe, the caret under its token."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2f.api.errors import BEFORE, LIMIT, excerpt


def test_short_lines_stay_whole() -> None:
    assert excerpt("use: nosie", 6, 5) == ("use: nosie", "     ^^^^^")


@pytest.mark.parametrize("length", [LIMIT, LIMIT + 1, 10_000])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_token_is_in_the_window(length: int, share: float) -> None:
    start = int(share * (length - 3))
    source = "." * start + "bad" + "." * (length - start - 3)
    line, carets = excerpt(source, start + 1, 3)
    assert line[len(carets) - 3 : len(carets)] == "bad"
    assert carets.strip() == "^^^"
    assert len(line) <= LIMIT + 2
    assert line.startswith("…") == (length > LIMIT and start > BEFORE)
    assert not (share == 1 and line.endswith("…"))


def test_a_token_beyond_the_window_is_underlined_to_its_end() -> None:
    line, carets = excerpt("x" * 500, 1, 500)
    assert line == "x" * LIMIT + "…"
    assert carets == "^" * LIMIT


@pytest.mark.parametrize(
    ("source", "column", "width", "carets"),
    [
        ("名前: bad", 5, 3, "      ^^^"),
        ("bad: 名前", 6, 2, "     ^^^^"),
        ("e\u0301: bad", 5, 3, "   ^^^"),
        ("a\tb", 3, 1, "  ^"),
        ("", 1, 1, "^"),
    ],
)
def test_carets_stand_below_what_a_terminal_shows(source: str, column: int, width: int, carets: str) -> None:
    assert excerpt(source, column, width)[1] == carets


def test_nothing_speaks_to_the_terminal() -> None:
    line, _ = excerpt("a\x1b[31m\x07\u202e\u2028b", 1, 1)
    assert line == "a\ufffd[31m\ufffd\ufffd\ufffdb"


@given(st.text(max_size=300), st.integers(1, 300), st.integers(1, 300))
def test_every_line_is_one_line(source: str, column: int, width: int) -> None:
    line, carets = excerpt(source, column, width)
    assert len(line.splitlines()) <= 1
    assert set(carets) <= {" ", "^"}
    assert carets.endswith("^")
