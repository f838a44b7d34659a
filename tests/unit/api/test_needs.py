"""What detectors declare that they need of a view, and who checks it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from d2f import Abstention, Needs, Score, Tiles
from d2f.engine.local import score_images
from tests.unit.engine.toys import TileFunction, Whole, image_of, picture, plan_of


def flat(height: int, width: int, level: int = 90) -> Any:
    return np.full((height, width, 3), level, np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (63, 500), (500, 63)])
def test_small_views(size: tuple[int, int]) -> None:
    height, width = size
    expected = f"the view has {width}x{height} pixels; at least 64 a side are needed"
    assert Needs(side=64).unmet(flat(*size)) == expected
    assert Needs(side=64).unmet(flat(64, 64)) == ""


@pytest.mark.parametrize("level", [0, 90, 255])
def test_one_colour(level: int) -> None:
    assert Needs(deviation=0.5).unmet(flat(80, 90, level)) == "too little contrast: the pixels are of one colour"
    assert Needs().unmet(flat(80, 90, level)) == ""


def test_detail_off_the_sparse_grid_is_seen() -> None:
    view = flat(80, 80)
    view[1::8, 1::8] = 250
    assert Needs(deviation=0.5).unmet(view) == ""
    view = flat(80, 80)
    view[40, 41] = 91
    assert Needs(deviation=0.5).unmet(view) == "too little contrast: the pixels vary by less than 0.5 grey levels"
    assert Needs(deviation=0.01).unmet(view) == ""


@pytest.mark.parametrize("seed", range(20))
def test_the_deviation_is_the_largest_of_a_channel(seed: int) -> None:
    rng = np.random.default_rng(seed)
    view = np.clip(rng.normal(100, rng.uniform(0.2, 0.9), (65, 70, 3)), 0, 255).round().astype(np.uint8)
    assert (Needs(deviation=0.5).unmet(view) == "") == (view.std(axis=(0, 1)).max() >= 0.5)


def test_only_the_window_counts() -> None:
    view = picture(1, 400, 300).pixels.copy()
    view[100:300, 50:250] = 7
    needs = Needs(deviation=0.5, window=200)
    assert needs.unmet(view) == "too little contrast: the central 200x200 pixels are of one colour"
    assert needs.share(view) == pytest.approx(200 * 200 / (400 * 300))
    assert needs.share(view[:100, :100]) == 1.0
    assert Needs().share(view) is None


def test_the_engine_abstains_in_the_detector_s_place() -> None:
    detector = Whole(lambda pixels: float(pixels.mean()))
    detector.needs = Needs(side=32, deviation=0.5, window=40)  # type: ignore[attr-defined]
    tiles = TileFunction(Tiles(size=16), lambda tile: 1.0)
    tiles.needs = Needs(deviation=0.5)  # type: ignore[attr-defined]
    images = [picture(0, 48, 64), image_of(flat(48, 64)), picture(1, 20, 64)]
    rows = list(score_images(plan_of({"w": (detector, ["plain"]), "t": (tiles, ["plain"])}), images))
    assert detector.batches == [1]
    assert [row.members[0].abstained for row in rows] == [
        None,
        "too little contrast: the central 40x40 pixels are of one colour",
        "the view has 64x20 pixels; at least 32 a side are needed",
    ]
    assert [row.members[1].abstained is None for row in rows] == [True, False, True]
    assert rows[0].members[0].seen == pytest.approx(40 * 40 / (48 * 64), abs=1e-4)


def test_a_detector_s_own_share_and_abstention_stand() -> None:
    detector = Whole(lambda pixels: Score(1.0, seen=0.1) if pixels.shape[0] > 40 else Abstention("my own"))
    detector.needs = Needs(window=24)  # type: ignore[attr-defined]
    rows = list(score_images(plan_of({"w": (detector, ["plain"])}), [picture(0, 48, 64), picture(1, 32, 64)]))
    assert (rows[0].members[0].seen, rows[1].members[0].abstained) == (0.1, "my own")
