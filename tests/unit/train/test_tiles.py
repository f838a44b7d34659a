"""Tiles: what an epoch draws, how batches are fed, what augmentations do."""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from d2f.data.protocol import fitting
from d2f.images.read import read_image
from d2f.plugins.build import read_options
from d2f.train.augment import OPERATIONS, Augmenter, fitted
from d2f.train.recipe import Augmentation, BalanceSettings
from d2f.train.stepping import UpdateSize
from d2f.train.tiles import Feeder, TileCutter, draw_tiles, epoch_order, label_counts, tiles_in_order
from tests.unit.train.network_toys import catalog, recipe

# Which copies tiles are cut from.


def test_training_tiles_are_of_a_copy_for_each_seed_of_the_recipe(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(5).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    image = read_image(str(tmp_path / "a.png"))
    copies = {"protocol": "crop", "fitting": 3, "judging": 0, "windows": [16, 16], "scale": False}
    found = TileCutter(recipe(seed=0, copies=copies), training=True).tiles(image)
    expected = [fitting(image, seed, (16, 16), (70, 98), False).pixels for seed in range(3)]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("training", [True, False])
def test_aligned_tiles_begin_at_multiples(tmp_path: Path, training: bool) -> None:
    Image.fromarray(np.random.default_rng(5).integers(0, 256, (45, 37, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    image = read_image(str(tmp_path / "a.png"))
    tiles = {"size": 16, "count": 4, "pick": "grid"}
    copies = {"protocol": "as-found", "fitting": 0}
    anywhere, aligned = (
        TileCutter(recipe(tiles=tiles | {"align": step}, copies=copies), training).tiles(image) for step in (1, 8)
    )
    # Of the grid, corners 0 and 29 of 45 rows, 0 and 21 of 37 columns.
    np.testing.assert_array_equal(anywhere[3], image.pixels[29:45, 21:37])
    np.testing.assert_array_equal(aligned[3], image.pixels[24:40, 16:32])


# What an epoch draws.


LABELS = np.array([0] * 10 + [1] * 4, dtype=np.int8)


EVEN = np.ones(14)


@pytest.mark.parametrize(
    ("balance", "counts"),
    [
        (BalanceSettings(by="smallest"), (4, 4)),
        (BalanceSettings(by="oversample"), (10, 10)),
        (BalanceSettings(by="weights"), (10, 4)),
        (BalanceSettings(by="none"), (10, 4)),
        (BalanceSettings(by="smallest", tiles=6), (3, 3)),
        (BalanceSettings(by="none", tiles=7), (5, 2)),
    ],
)
def test_label_counts(balance: BalanceSettings, counts: tuple[int, int]) -> None:
    assert label_counts(LABELS, balance) == counts
    order = epoch_order(LABELS, EVEN, balance, 0, 0)
    assert np.bincount(LABELS[order]).tolist() == list(counts)


def test_without_balance_every_tile_is_drawn_once() -> None:
    order = epoch_order(LABELS, EVEN, BalanceSettings(by="none"), 5, 2)
    assert sorted(order.tolist()) == list(range(14))


def test_oversampling_draws_each_as_often_as_its_share_says() -> None:
    order = epoch_order(LABELS, EVEN, BalanceSettings(by="oversample"), 1, 0)
    counts = np.bincount(order, minlength=14)
    assert (counts[:10] == 1).all()
    assert set(counts[10:].tolist()) <= {2, 3}


def test_order_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return epoch_order(LABELS, EVEN, BalanceSettings(), seed, epoch).tolist()

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


def test_draw_follows_weights_within_one() -> None:
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    drawn = draw_tiles(np.arange(4), weights, 25, np.random.default_rng(0))
    counts = np.bincount(drawn, minlength=4)
    assert (np.abs(counts - 25 * weights / 10) < 1).all()


# Batches: the same from both feeders, in order, and the wait for them measured.


NATIVE = [False, pytest.param(True, marks=pytest.mark.skipif(not find_spec("mlx.data"), reason="without mlx-data"))]


def make(number: int, place: int) -> np.ndarray:
    time.sleep(0.001 * (number % 3))
    return np.full((2, 2, 3), number * 10 + place, np.uint8)


@pytest.mark.parametrize("native", NATIVE)
@pytest.mark.parametrize("workers", [1, 3])
def test_batches_come_in_order(native: bool, workers: int) -> None:
    wanted = np.array([(number, place) for place, number in enumerate((5, 3, 9, 1, 0, 3, 2))])
    batches = list(Feeder(workers, native).batches(wanted, 3, make))
    assert [batch.numbers.tolist() for batch in batches] == [[5, 3, 9], [1, 0, 3], [2]]
    values = np.concatenate([batch.pixels[:, 0, 0, 0] for batch in batches])
    assert values.tolist() == [50, 31, 92, 13, 4, 35, 26]
    assert batches[0].pixels.dtype == np.uint8
    assert batches[0].pixels.shape == (3, 2, 2, 3)


@pytest.mark.parametrize("native", NATIVE)
def test_what_goes_wrong_in_a_thread_is_raised(native: bool) -> None:
    def fail(number: int, place: int) -> np.ndarray:
        raise ValueError("no tile")

    with pytest.raises(ValueError, match="no tile"):
        list(Feeder(2, native).batches(tiles_in_order(4), 2, fail))


def test_the_wait_is_measured() -> None:
    def slow(number: int, place: int) -> np.ndarray:
        time.sleep(0.02)
        return make(0, 0)

    feeder = Feeder(1, False)
    list(feeder.batches(tiles_in_order(5), 5, slow))
    assert 0.1 <= feeder.waited < 0.5


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((100, 8, 1, 8), (8, 8, 1)),
        ((100, 8, 3, 8), (24, 8, 3)),
        ((100, 8, 2, 4), (16, 4, 4)),
        ((5, 8, 4, 8), (5, 5, 1)),
        ((20, 8, 4, 8), (16, 8, 2)),
        ((100, 8, 1, 8, 2), (8, 4, 1)),
        ((100, 32, 3, 32, 2), (96, 24, 2)),
    ],
)
def test_an_update_is_divided_over_batches_and_processes(given: tuple[int, ...], expected: tuple[int, ...]) -> None:
    size = UpdateSize.of(*given)
    assert (size.tiles, size.batch, size.batches) == expected
    assert size.updates(given[0]) == given[0] // size.tiles


# Augmentations: what each does to a tile, and that they repeat.


TILE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)


def operation(name: str, **options: Any) -> Any:
    return read_options("augmentation", OPERATIONS[name], options)


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
