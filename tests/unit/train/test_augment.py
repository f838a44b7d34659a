"""Augmentations: what each does to a tile, and that they repeat."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from d2f.plugins.build import read_options
from d2f.train.augment import OPERATIONS, Augmenter, fitted
from d2f.train.recipe import Augmentation
from tests.unit.train.network_toys import catalog

TILE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)


def operation(name: str, **options: Any) -> Any:
    stage = OPERATIONS[name]
    return stage(read_options("augmentation", stage, options))


def augmenter(*steps: dict[str, Any], size: int = 32) -> Augmenter:
    return Augmenter.of([Augmentation.model_validate(step) for step in steps], size, 7, catalog())


def test_flip_and_rotate_keep_every_pixel() -> None:
    assert (operation("flip").apply(TILE, 0) == TILE[:, ::-1]).all()
    assert (operation("flip", axis="vertical").apply(TILE, 0) == TILE[::-1]).all()
    turned = {operation("rotate").apply(TILE, seed).tobytes() for seed in range(30)}
    assert turned == {np.rot90(TILE, quarters).tobytes() for quarters in (1, 2, 3)}


def test_crop_is_a_window_of_the_tile() -> None:
    for seed in range(10):
        window = operation("crop", least=0.5).apply(TILE, seed)
        rows, columns = window.shape[:2]
        assert 16 <= rows <= 32
        found = [
            (TILE[top : top + rows, left : left + columns] == window).all()
            for top in range(33 - rows)
            for left in range(33 - columns)
        ]
        assert sum(found) == 1


def test_cut_out_is_one_grey_square() -> None:
    made = operation("cut-out", share=0.5).apply(TILE, 3)
    rows, columns = np.nonzero((made != TILE).any(axis=2))
    square = made[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert (square == 127).all()
    assert square.shape[0] == square.shape[1] <= 16


def test_colour_without_reach_changes_nothing_and_stays_in_range() -> None:
    assert (operation("colour", brightness=0.0, contrast=0.0, saturation=0.0).apply(TILE, 1) == TILE).all()
    changed = operation("colour").apply(TILE, 1)
    assert changed.dtype == np.uint8
    assert (changed != TILE).any()


def test_the_same_tile_of_the_same_epoch_is_the_same() -> None:
    made = augmenter({"use": "jpeg", "draw": {"quality": [40, 90]}}, {"use": "flip", "probability": 0.5})
    assert (made(TILE, 3, 1, 9) == made(TILE, 3, 1, 9)).all()
    others = {made(TILE, 3, epoch, place).tobytes() for epoch in range(4) for place in range(4)}
    assert len(others) > 8


def test_probability_is_how_often_it_happens() -> None:
    made = augmenter({"use": "flip", "probability": 0.25})
    flipped = sum(bool((made(TILE, 0, 0, place) == TILE[:, ::-1]).all()) for place in range(800))
    assert flipped == pytest.approx(200, abs=50)


def test_one_of_draws_each() -> None:
    made = augmenter({"one_of": [{"use": "flip"}, {"use": "flip", "with": {"axis": "vertical"}}]})
    found = {made(TILE, 0, 0, place).tobytes() for place in range(20)}
    assert found == {TILE[:, ::-1].tobytes(), TILE[::-1].tobytes()}


def test_a_preprocessor_that_shrinks_is_filled_up_by_mirroring() -> None:
    made = augmenter({"use": "resize", "with": {"factor": 0.5}})(TILE, 0, 0, 0)
    assert made.shape == (32, 32, 3)
    assert (made[:, :8] == made[:, 8:16][:, ::-1]).all()


def test_fitted_takes_the_centre_where_nothing_is_drawn() -> None:
    assert (fitted(TILE, 16) == TILE[8:24, 8:24]).all()
