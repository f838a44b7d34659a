"""Patches pasted into photographs, and whether a map finds them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from d2f import load_chain
from d2f.data.dataset import load_dataset
from d2f.evaluate.splice import SIZES, excess, run_splice, splice, splice_figures, splice_table
from d2f.explain.map import HeatMap, cell_edges
from d2f.plugins.catalog import Catalog
from tests.unit.chain import stages

GREY = (
    "d2f: 1\nname: grey\ndetectors: [{use: noise-statistics}]\n"
    "calibrate: {noise-statistics/plain: {use: platt, with: {slope: 0.05, bias: -5}}}\n"
)


@pytest.fixture
def dark_and_bright(tmp_path: Path) -> Path:
    """Photographs are dark, generated pictures are bright."""
    random = np.random.default_rng(0)
    for label, level in (("real", 60), ("generated/g", 180)):
        (tmp_path / label).mkdir(parents=True)
        for number in range(4):
            pixels = random.normal(level, 12, (96, 128, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / label / f"{number}.png")
    return tmp_path


def test_a_patch_lies_where_it_is_said_to() -> None:
    dark, bright = np.full((120, 160, 3), 20, np.uint8), np.full((90, 90, 3), 220, np.uint8)
    pixels, share, size = splice(dark, bright, np.random.default_rng(3))
    assert size in SIZES
    assert share.max() == 1.0
    assert (share > 0).sum() == min(round(size * 120), 90) ** 2
    assert pixels[share == 1.0].mean() > 210
    assert pixels[share == 0.0].mean() < 35  # JPEG's ringing beside the edge
    assert 20 < pixels[(share > 0.3) & (share < 0.7)].mean() < 220


def test_excess_counts_reliable_cells_only() -> None:
    side = 40
    rows = columns = cell_edges(120, side)
    values, mask = np.zeros((12, 12)), np.zeros((12, 12), np.uint8)
    values[:4, :4] = 2.0
    share = np.zeros((120, 120))
    share[:40, :40] = 1.0
    assert (len(rows), len(columns)) == (13, 13)
    assert excess(HeatMap("tiles", values, mask, side), share) == 2.0
    mask[0, 0], values[0, 0] = 1, 100.0
    assert excess(HeatMap("tiles", values, mask, side), share) == 2.0
    assert excess(HeatMap("tiles", values, np.ones_like(mask), side), share) is None


def test_a_chain_that_can_see_the_patch_finds_it(dark_and_bright: Path, tmp_path: Path) -> None:
    (tmp_path / "chain.yaml").write_text(GREY)
    catalog = Catalog.of(*stages.STAGES)
    chain = load_chain(tmp_path / "chain.yaml", catalog=catalog)
    images = load_dataset(str(dark_and_bright))
    kept = tmp_path / "kept.jsonl"
    outcomes = run_splice(chain, images, "whole", 0, None, str(kept))
    found = {(one.kind, one.patch): one for one in splice_figures(chain, outcomes, images, 20, 0) if one.size is None}
    assert found["tiles", "generated"].share == 1.0
    assert found["tiles", "generated"].images == 4
    assert found["tiles", "photograph"].share is not None
    assert found["tiles", "photograph"].share < 1.0
    assert splice_table(list(found.values())).text()[1].split()[:5] == ["grey", "tiles", "generated", "all", "4"]
    # A run that was killed while it wrote goes on with what is whole.
    lines = kept.read_text().splitlines()
    kept.write_text("\n".join([*lines[:-4], '{"made": ["']) + "\n")
    again = run_splice(chain, images, "whole", 0, None, str(kept))
    assert sorted(map(repr, again)) == sorted(map(repr, outcomes))
    assert len({json.loads(line)["path"] for line in kept.read_text().splitlines() if line.endswith("}")}) == 4
    # What was measured of more pictures, or with another seed, is not counted.
    assert {one.path for one in run_splice(chain, images, "whole", 0, 2, str(kept))} < {one.path for one in outcomes}
    assert run_splice(chain, images, "whole", 1, 2, str(kept)) == run_splice(chain, images, "whole", 1, 2)
