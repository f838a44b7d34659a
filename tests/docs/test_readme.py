"""README.md: its picture is what d2f prints now, its figures are those of the measured page, it is short."""

from __future__ import annotations

import html
import re
from pathlib import Path

import make_readme
import pytest

from d2f import load_chain
from d2f.cli.judge import absent_weights
from tests.docs.pages import DOCS, ROOT

README = (ROOT / "README.md").read_text("utf-8")
VARIES = re.compile(r"digest [0-9a-f]{12}")


def shown(svg: str) -> str:
    """The words of a terminal's picture, without digests."""
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    return VARIES.sub("digest", " ".join(html.unescape(text).replace("\xa0", " ").strip() for text in texts))


def test_the_picture_is_what_d2f_judge_prints_now() -> None:
    if absent_weights(load_chain("deep")):
        pytest.skip("the tower is not here: d2f weights pull clip-vit-b16")
    picture = (DOCS / "images" / "answer.svg").read_text("utf-8")
    assert shown(picture) == shown(make_readme.terminal_picture(make_readme.answer())), (
        "run: python docs/make_readme.py"
    )


def test_the_table_s_figures_stand_in_the_measured_page() -> None:
    measured = (DOCS / "reference" / "measured.md").read_text("utf-8")
    figures = re.findall(r"\d\.\d{3} \[\d\.\d{3}, \d\.\d{3}\]", README)
    assert figures
    assert [figure for figure in figures if figure not in measured] == []


def test_the_table_and_the_chart_are_of_the_measured_result(tmp_path: Path) -> None:
    figures = {"none": 0.9, "wiener-7": 0.8, "noise-5": 0.85, "grey": 0.5}
    shares = {name: [0.125, 0, 1] for name in make_readme.SHARES}
    system = {
        "name": "deep",
        "figures": {name: {**shares, "auc": [auc, auc - 0.1, auc + 0.1]} for name, auc in figures.items()},
        "refused": {"wiener-7": {"real": 0.1, "generated": 0.2}, "grey": {"real": 1.0, "generated": 0.2}},
    }
    result = {"systems": [{**system, "name": "triad"}, system]}
    head, _, row = make_readme.table(result)
    assert head.count("|") == row.count("|") == len(make_readme.HEADINGS) + 1
    assert row == "| `deep` | 0.900 [0.800, 1.000] | 0.800 (wiener-7) | 12 % | 12 % | 12 % | 12 % |"
    make_readme.write_svg(lambda: make_readme.chart(result), tmp_path / "chart.svg")
    drawn = (tmp_path / "chart.svg").read_text("utf-8")
    assert re.findall(r">(wiener-7|noise-5|as judged|deep|triad)<", drawn) == [
        "wiener-7",
        "noise-5",
        "as judged",
        "deep",
    ]


def test_it_is_short() -> None:
    assert len(README.split()) <= 600  # some 450 words of prose, and a table


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert [link for link in links if not link.startswith("http") and not (ROOT / link).exists()] == []
