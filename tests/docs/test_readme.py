"""README.md: its picture is what d2f prints now, its figures are those of the measured page, it is short."""

from __future__ import annotations

import html
import importlib.util
import re
from types import ModuleType

import pytest

from d2f import load_chain
from d2f.cli.judge import absent_weights
from tests.docs.pages import DOCS, ROOT

README = (ROOT / "README.md").read_text("utf-8")
VARIES = re.compile(r"digest [0-9a-f]{12}")


def make_readme() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_readme", DOCS / "make_readme.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shown(svg: str) -> str:
    """The words of a terminal's picture, without digests."""
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    return VARIES.sub("digest", " ".join(html.unescape(text).replace("\xa0", " ").strip() for text in texts))


def test_the_picture_is_what_d2f_judge_prints_now() -> None:
    if absent_weights(load_chain("deep")):
        pytest.skip("the tower is not here: d2f weights pull clip-vit-b16")
    made = make_readme()
    picture = (DOCS / "images" / "answer.svg").read_text("utf-8")
    assert shown(picture) == shown(made.terminal_picture(made.answer())), "run: python docs/make_readme.py"


def test_the_table_s_figures_stand_in_the_measured_page() -> None:
    measured = (DOCS / "reference" / "measured.md").read_text("utf-8")
    figures = re.findall(r"\d\.\d{3} \[\d\.\d{3}, \d\.\d{3}\]", README)
    assert figures
    assert [figure for figure in figures if figure not in measured] == []


def test_it_is_short() -> None:
    assert len(README.split()) <= 600  # some 450 words of prose, and a table


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert [link for link in links if not link.startswith("http") and not (ROOT / link).exists()] == []
