"""Where tiles lie, against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2f import Tiles
from d2f.engine.views import cut, grid_corners, tile_corners


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_centre() -> None:
    assert tile_corners(noise(100, 61), Tiles(size=40, count=5)) == [(30, 10)]
    assert tile_corners(noise(40, 40), Tiles(size=40)) == [(0, 0)]


@pytest.mark.parametrize("pick", ["centre", "grid", "texture"])
def test_smaller_than_a_tile(pick: str) -> None:
    assert tile_corners(noise(39, 200), Tiles(size=40, pick=pick)) == []  # type: ignore[arg-type]
    assert tile_corners(noise(200, 39), Tiles(size=40, pick=pick)) == []  # type: ignore[arg-type]


def test_grid_by_hand() -> None:
    assert grid_corners(60, 60, 1, 1.0) == [(30, 30)]
    assert grid_corners(60, 60, 4, 1.0) == [(0, 0), (0, 60), (60, 0), (60, 60)]
    assert grid_corners(60, 60, 5, 1.0) == [(0, 0), (0, 60), (60, 0), (60, 30), (60, 60)]
    assert grid_corners(60, 60, 9, 1.0) == [(top, left) for top in (0, 30, 60) for left in (0, 30, 60)]
    assert grid_corners(0, 300, 4, 0.2) == [(0, 0), (0, 100), (0, 200), (0, 300)]
    assert grid_corners(0, 0, 4, 1.0) == [(0, 0)], "one place, one tile"


@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 20), st.floats(0.05, 20))
def test_grid_stays_inside_and_reaches_the_edges(down: int, right: int, count: int, aspect: float) -> None:
    found = grid_corners(down, right, count, aspect)
    assert 1 <= len(found) <= count
    assert len(set(found)) == len(found)
    assert all(0 <= top <= down and 0 <= left <= right for top, left in found)
    if down >= count and right >= count:
        assert len(found) == count
    flipped = {(down - top, left) for top, left in grid_corners(down, right, 4, 1.0)}
    assert flipped == set(grid_corners(down, right, 4, 1.0)) or down % 2


def slow_texture(pixels: np.ndarray, tiles: Tiles) -> list[tuple[int, int]]:
    """The definition, read out loud."""
    size, step = tiles.size, tiles.size // 2
    found = []
    for top in range(0, pixels.shape[0] - size + 1, step):
        for left in range(0, pixels.shape[1] - size + 1, step):
            tile = pixels[top : top + size, left : left + size].astype(int).sum(axis=2)
            differences = np.concatenate([np.diff(tile, axis=0).ravel(), np.diff(tile, axis=1).ravel()])
            found.append((-round(float(np.var(differences)), 6), top, left))
    return sorted((top, left) for _, top, left in sorted(found)[: tiles.count])


@settings(max_examples=40, deadline=None)
@given(st.integers(9, 60), st.integers(9, 60), st.integers(8, 9), st.integers(1, 6), st.integers(0, 99))
def test_texture_equals_its_definition(height: int, width: int, size: int, count: int, seed: int) -> None:
    pixels = noise(height, width, seed)
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = (pixels * np.abs(np.sin(rows / 9 + columns / 7))[..., None]).astype(np.uint8)
    tiles = Tiles(count=count, size=size, pick="texture")
    assert tile_corners(pixels, tiles) == slow_texture(pixels, tiles)


def test_ties_go_to_the_upper_left() -> None:
    assert tile_corners(np.zeros((64, 64, 3), np.uint8), Tiles(count=3, size=16, pick="texture")) == [
        (0, 0),
        (0, 8),
        (0, 16),
    ]


def test_tiles_are_copies() -> None:
    pixels = noise(50, 60)
    found = cut(pixels, [(0, 0), (10, 20)], 40)
    np.testing.assert_array_equal(found[1], pixels[10:50, 20:60])
    assert not np.shares_memory(found, pixels)
