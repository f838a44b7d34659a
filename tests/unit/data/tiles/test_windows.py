import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from d2f.data.tiles import PICKS, corners, is_flat


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
