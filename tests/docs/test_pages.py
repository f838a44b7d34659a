"""Every block of every page runs, in order, as a reader would run it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, blocks, matches, needs, run_page, runnable

FOUND = sorted(page for page in [*DOCS.rglob("*.md"), ROOT / "README.md"] if runnable(page))
PAGES = [
    pytest.param(page, id=str(page.relative_to(ROOT)), marks=[pytest.mark.torch] if needs(page) == "torch" else [])
    for page in FOUND
]


@pytest.mark.parametrize("page", PAGES)
def test_page_runs(page: Path, tmp_path: Path) -> None:
    if "$D2F_DATA" in page.read_text("utf-8") and "D2F_DATA" not in os.environ:
        pytest.skip("the page works on real images: set D2F_DATA")
    if needs(page):
        pytest.importorskip(needs(page))
    run_page(page, tmp_path)


@pytest.mark.parametrize("body", ["$ echo one\ntwo\n", "$ exit 3\n"])
def test_a_wrong_page_fails(body: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"```console\n{body}```\n", "utf-8")
    assert blocks(page.read_text("utf-8"))[0].body == body
    with pytest.raises(AssertionError, match=r"page\.md:1"):
        run_page(page, tmp_path)


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("a\n…\nd", "a\nb\nc\nd", True),
        ("a\n…\nd", "a\nd", True),
        ("a\n…\nd", "a\nb\nc", False),
        ("a …s", "a 12 s", True),
        ("a\nb", "a\nc", False),
        ("a", "a\nb", False),
        ("", "anything", True),
        ("a.c", "abc", False),
    ],
)
def test_matches(expected: str, printed: str, same: bool) -> None:
    assert matches(expected, printed) is same
