"""Sets cut into tiles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from d2f import D2FError
from d2f.data.dataset import load_dataset
from d2f.data.groups import components
from d2f.data.tiles import PICKS, Cut, corners, cut_tiles, is_flat


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(0)
    for label, count, side in (("real/phone", 3, 100), ("generated/a toy/lab", 2, 70)):
        where = tmp_path / "set" / label
        where.mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
            pixels[:40, :40] = 128
            Image.fromarray(pixels).save(where / f"{number}.png")
    return tmp_path


def test_tiles_are_the_pictures_pixels_and_know_where_they_are_from(folder):
    made = cut_tiles(load_dataset(folder / "set"), folder / "out", Cut(size=32))
    assert (made.before, made.after, made.small, made.flat) == ((27, 8), (27, 8), 0, 0)
    found = load_dataset(folder / "out")
    assert len(found) == 35
    for image in found:
        with Image.open(image.path) as cut, Image.open(folder / "out" / image.more["from"]) as whole:
            x, y = int(image.more["x"]), int(image.more["y"])
            assert np.array_equal(np.asarray(cut), np.asarray(whole)[y : y + 32, x : x + 32])
    assert {image.generator for image in found} == {"", "a toy"}
    assert {image.collection for image in found} == {"phone", "lab"}
    assert "/generated/a toy/lab/" in found[0].path


def test_no_split_can_part_a_pictures_tiles(folder):
    (folder / "set/manifest.csv").write_text(
        "path,label\nreal/phone/0.png,real\nreal/phone/1.png,real\ngenerated/a toy/lab/0.png,generated\n"
    )
    made = cut_tiles(load_dataset(folder / "set"), folder / "out", Cut(size=32))
    of = {}
    for image, number in zip(made.tiles, components(made.tiles).tolist(), strict=True):
        of.setdefault(image.more["from"], set()).add(number)
    assert all(len(numbers) == 1 for numbers in of.values())
    assert len(set().union(*of.values())) == 3


@pytest.mark.parametrize(("balance", "after"), [("smallest", (8, 8)), ("oversample", (27, 27)), ("weights", (27, 8))])
def test_labels_are_balanced_in_the_manifest_and_on_disk(folder, balance, after):
    made = cut_tiles(load_dataset(folder / "set"), folder / "out", Cut(size=32, balance=balance))
    assert made.after == after
    found = load_dataset(folder / "out")
    assert {image.path for image in found} == {str(path) for path in (folder / "out").rglob("*.png")}
    if balance == "weights":
        weights = [[float(image.more["weight"]) for image in found if image.label == label] for label in (0, 1)]
        assert sum(weights[0]) == pytest.approx(sum(weights[1]), rel=1e-4)


def test_flat_tiles_and_small_pictures_are_left_out_and_counted(folder):
    made = cut_tiles(load_dataset(folder / "set"), folder / "out", Cut(size=35, flat=5.0))
    assert made.flat == 2
    made = cut_tiles(load_dataset(folder / "set"), folder / "more", Cut(size=80))
    assert (made.small, made.before) == (2, (3, 0))
    with pytest.raises(D2FError, match="5 pictures are smaller than 200 pixels"):
        cut_tiles(load_dataset(folder / "set"), folder / "none", Cut(size=200))


# Where windows lie.


@given(st.integers(1, 900), st.integers(1, 900), st.sampled_from(PICKS), st.integers(1, 12), st.integers(0, 3))
def test_tiles_lie_inside_the_picture_and_are_seeded(width, height, pick, count, seed):
    found = corners(width, height, 224, pick, count, seed)
    assert all(0 <= x <= width - 224 and 0 <= y <= height - 224 for x, y in found)
    assert bool(found) == (width >= 224 and height >= 224)
    assert len(found) <= (1 if pick == "centre" else count)
    assert found == corners(width, height, 224, pick, count, seed)


@settings(deadline=None)
@given(st.integers(224, 900), st.integers(224, 900), st.sampled_from(["grid", "random"]))
def test_tiles_share_no_pixel_in_a_grid_and_little_at_random(width, height, pick):
    found = corners(width, height, 224, pick, 12, 0)
    seen = np.zeros((len(found), height, width), dtype=bool)
    for mask, (x, y) in zip(seen, found, strict=True):
        mask[y : y + 224, x : x + 224] = True
    shared = [(a & b).sum() for i, a in enumerate(seen) for b in seen[:i]]
    assert max(shared, default=0) < (1 if pick == "grid" else 224**2 / 4)


def test_a_grid_holds_all_that_fit():
    assert len(corners(1000, 700, 224, "grid", 99, 0)) == 4 * 3
    assert corners(448, 224, 224, "grid", 99, 0) == [(0, 0), (224, 0)]


def test_flatness_is_the_deviation_of_luma():
    tile = np.zeros((10, 10, 3), np.uint8)
    tile[:5] = 8
    assert is_flat(tile, 4.01)
    assert not is_flat(tile, 3.99)
