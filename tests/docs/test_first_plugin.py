"""The distribution that the tutorial ends with is kept whole beside it; d2f itself knows nothing of it."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import DOCS, ROOT, blocks

PAGE = DOCS / "tutorial" / "first-plugin.md"
KEPT = DOCS / "tutorial" / "first-plugin"
FOLDER = "d2f-noise-level/"


def last_blocks() -> dict[str, str]:
    """Return the files that the page writes, as they are at its end, by their path in the distribution."""
    written = {block.title: block.body for block in blocks(PAGE.read_text("utf-8")) if block.title}
    return {title.removeprefix(FOLDER): body for title, body in written.items()}


def kept() -> dict[str, str]:
    files = (path for path in KEPT.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(KEPT).as_posix(): path.read_text("utf-8") for path in files}


def test_it_is_what_the_page_ends_with() -> None:
    assert kept() == last_blocks(), "write the page's last blocks into docs/tutorial/first-plugin"


def test_it_is_one_file_and_six_lines() -> None:
    assert len(kept()["pyproject.toml"].splitlines()) == 6
    assert [path for path in kept() if path.endswith(".py") and "/" not in path] == ["d2f_noise_level.py"]


@pytest.mark.parametrize("top", ["d2f", "plugins", "chains"])
def test_d2f_does_not_know_it(top: str) -> None:
    for path in (ROOT / top).rglob("*.py"):
        assert not re.search(r"^\s*(import|from) d2f_noise_level", path.read_text("utf-8"), re.MULTILINE), path
