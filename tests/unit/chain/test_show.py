"""The drawing of a chain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
from rich.text import Text

from d2f.chain.build import direction
from d2f.chain.chain import load_chain
from d2f.chain.show import draw, line, table
from d2f.plugins.catalog import Catalog
from tests.unit.chain import stages

GOOD = Path(__file__).parents[2] / "chains" / "good"


def plain_text(lines: Sequence[Text]) -> str:
    return "\n".join(one.plain.rstrip() for one in lines)


def drawn(text: str, folder: Path, catalog: Catalog) -> str:
    (folder / "chain.yaml").write_text(f"d2f: 1\nname: a\n{text}", "utf-8")
    return plain_text(draw(load_chain(folder / "chain.yaml", catalog=catalog)))


def shown(name: str, catalog: Catalog) -> str:
    chain = load_chain(name, catalog=catalog)
    return plain_text(draw(chain)).replace(chain.digest, "DIGEST")


def test_a_fitted_chain(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOOD)
    assert shown("triad.yaml", catalog) == dedent("""\
        triad  Three cues over three views: fused into one probability.
        digest DIGEST
        images photos, scans/*.png

        Views
          image ─> plain
          image ─ wiener(window=7) ─> denoised
          image ─ wiener(window=7) ─ jpeg(quality=90) ─> recompressed

        Detectors and the views that they look at
                               plain        denoised      recompressed
          net                  platt ↑      platt ↓       ·
            resnet             slope 1.31   slope -0.2
                               bias -0.42   bias 0.1
                               weight 0.9   weight 0.2

          noise                platt ↑      platt ↑       platt ↑
            noise-statistics   slope 2      slope 1.5     slope 0.9
                               bias 0.1     bias 0        bias 0
                               weight 0.5   weight 0.25   weight -0.1

          provenance           platt ↑      ·             ·
                               slope 1
                               bias 0
                               weight 1

          ↑ the score rises for generated images   ↓ the score falls for generated images

        Verdict
          members ─ logistic(bias=0.1) ─ platt(slope=1.1, bias=0.05) ─ prior 0.5 ─> probability
          below 0.3 no sign of generation, above 0.75 AI-generated, else inconclusive
          with fewer than 2 members inconclusive

        Weights
          noise-statistics/default   sha256 0123456789ab…   MIT

        Fitted on 2631 images
          2026-11-21 with d2f 0.1.0, protocol whole, data sha256:0f0e""")


def test_a_chain_that_is_not_fitted(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOOD)
    assert shown("unfitted.yaml", catalog) == dedent("""\
        unfitted
        digest DIGEST

        Views
          image ─> plain

        Detectors and the views that they look at
                             plain
          noise-statistics   not calibrated

        Verdict
          members ─ logit-mean ─ prior 0.5 ─> probability
          below 0.35 no sign of generation, above 0.65 AI-generated, else inconclusive

        Weights
          noise-statistics/default   sha256 0123456789ab…   MIT

        Not fitted: every verdict is inconclusive; see d2f chain fit""")


def test_a_view_that_nobody_looks_at(tmp_path: Path, catalog: Catalog) -> None:
    text = drawn("views: {b: [{use: wiener}]}\ndetectors: [{use: resnet}]\n", tmp_path, catalog)
    assert "  image ─ wiener ─> b   no detector looks at it\n" in text


def test_all_that_a_fit_tells(tmp_path: Path, catalog: Catalog) -> None:
    facts = "data: x, images: 9, real: 4, generated: 5, collections: 3, protocol: as-found"
    more = "attacks: [jpeg, 'wiener:window=7'], date: 2026-11-21, d2f: 0.1.0"
    text = drawn(f"detectors: [{{use: resnet}}]\nfitted: {{{facts}, {more}}}\n", tmp_path, catalog)
    assert text.endswith(
        "Fitted on 9 images, 4 real, 5 generated, 3 collections\n"
        "  2026-11-21 with d2f 0.1.0, protocol as-found, data x\n"
        "  with copies under jpeg, wiener:window=7"
    )


def test_a_chain_to_be_refitted_can_be_drawn(catalog: Catalog) -> None:
    text = plain_text(draw(load_chain(GOOD / "triad.yaml", catalog=catalog, refit=True)))
    assert text.count("not calibrated") == 6


class TestDirection:
    @pytest.mark.parametrize(
        ("slope", "bias", "sign"), [(1.31, -0.42, 1), (-0.2, 0.1, -1), (0.0, 3.0, 0), (1e-5, 0, 1), (-1e4, 50, -1)]
    )
    def test_platt(self, slope: float, bias: float, sign: int) -> None:
        assert direction(stages.Platt(stages.Platt.Options(slope=slope, bias=bias))) == sign

    def test_neither(self) -> None:
        class Hill(stages.Platt):
            def probability(self, scores: Any) -> Any:
                return np.exp(-(scores**2))

        assert direction(Hill(stages.Platt.Options(slope=1, bias=0))) == 0

    def test_one_that_raises(self) -> None:
        class Broken(stages.Platt):
            def probability(self, scores: Any) -> Any:
                raise ZeroDivisionError

        assert direction(Broken(stages.Platt.Options(slope=1, bias=0))) == 0


def test_tables_align() -> None:
    rows = [
        [[line("a")], [line("b", ("c", "bold"))]],
        [[line("long"), line("x")], [line("d")]],
    ]
    assert plain_text(table(rows, indent=1, gap=2)) == " a     bc\n long  d\n x"


def test_style_is_kept_apart_from_text(catalog: Catalog) -> None:
    lines = draw(load_chain(GOOD / "triad.yaml", catalog=catalog))
    assert {span.style for one in lines for span in one.spans} >= {"bold", "cyan", "green", "magenta", "red", "yellow"}
    assert "\x1b" not in plain_text(lines)
