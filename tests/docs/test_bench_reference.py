"""docs/reference/bench.md names every grid's attack, figure and key that there is."""

from __future__ import annotations

import re

from d2f.data.dataset import load_dataset
from d2f.evaluate.attacks import CORE, FULL
from d2f.metrics.figures import FIGURES
from tests.docs.pages import DOCS
from tests.unit.evaluate.bench_toys import bench, chain
from tests.unit.evaluate.toys import write_set

PAGE = (DOCS / "reference" / "bench.md").read_text("utf-8")


def test_grids() -> None:
    listed = re.findall(r"^\| (core, full|full) \| `([^`]+)` \| `([^`]+)` \|$", PAGE, re.MULTILINE)
    assert {name: spec for _, name, spec in listed} == FULL
    assert {name for grid, name, _ in listed if grid == "core, full"} == set(CORE)


def test_figures_and_their_directions() -> None:
    rows = re.findall(r"^\| (`[^|]+`) \| (more|less) \|", PAGE, re.MULTILINE)
    listed = {name: better for names, better in rows for name in re.findall(r"`(\w+)`", names)}
    assert listed == {name: "more" if figure.better > 0 else "less" for name, figure in FIGURES.items()}


def test_keys(tmp_path) -> None:
    write_set(tmp_path / "set", 20, collections=4)
    _, found = bench([chain(tmp_path / "chain")], load_dataset(tmp_path / "set"), ("noise:2",))
    said = set(re.findall(r"`(\w+)`", PAGE))
    assert set(found) <= said
    assert set(found["systems"][0]) <= said
