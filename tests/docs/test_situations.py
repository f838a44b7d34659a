"""The table of situations: every one is there, and the test that it names exists."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import DOCS, ROOT

ROWS = [
    line.strip("|").split("|")
    for line in (DOCS / "research" / "situations.md").read_text("utf-8").splitlines()
    if re.match(r"\| [A-D]\d", line)
]
NUMBERS = {"A": 13, "B": 11, "C": 6, "D": 12}


def test_every_situation_has_one_row() -> None:
    assert [row[0].strip() for row in ROWS] == [
        f"{kind}{n}" for kind, most in NUMBERS.items() for n in range(1, most + 1)
    ]


@pytest.mark.parametrize("row", ROWS, ids=[row[0].strip() for row in ROWS])
def test_its_test_exists(row: list[str]) -> None:
    assert all(cell.strip() for cell in row)
    file, _, name = row[-1].strip().strip("`").partition("::")
    assert re.search(rf"^ *def {name}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE)
