"""Tiles cut from a view: where they lie, and the pixels."""

from __future__ import annotations

import numpy as np

from d2f.api.arrays import Pixels
from d2f.api.inputs import Tiles

Corner = tuple[int, int]
"""Row and column of a tile's upper left pixel."""


def cut(pixels: Pixels, corners: list[Corner], size: int) -> Pixels:
    """Return copies of the tiles, shape (len(corners), size, size, 3), uint8."""
    return np.stack([pixels[top : top + size, left : left + size] for top, left in corners])


def corners(pixels: Pixels, tiles: Tiles) -> list[Corner]:
    """Say where a view's tiles lie, row by row; none where the view is smaller than a tile.

    Depends on the pixels and on `tiles` only. Tiles that would lie in the same place are taken once.

    Parameters
    ----------
    pixels : numpy.ndarray, shape (height, width, 3), uint8
    tiles : Tiles
        See there for what `centre`, `grid` and `texture` mean.
    """
    height, width = pixels.shape[:2]
    down, right = height - tiles.size, width - tiles.size
    if down < 0 or right < 0:
        return []
    if tiles.pick == "centre":
        return [(down // 2, right // 2)]
    if tiles.pick == "grid":
        return grid(down, right, tiles.count, height / width)
    return textured(pixels, tiles)


def grid(down: int, right: int, count: int, aspect: float) -> list[Corner]:
    """Spread `count` corners evenly over rows 0..down and columns 0..right.

    As many rows as keep the spacing alike both ways, each with its share of the tiles, reaching from
    edge to edge; a row or a column of one lies in the middle.

    Parameters
    ----------
    down, right : int
        The largest row and column that a corner may have.
    count : int
    aspect : float
        Height of the view over its width.
    """
    rows = min(count, max(1, round((count * aspect) ** 0.5)))
    found = {
        (top, left)
        for row, top in enumerate(_spread(down, rows))
        for left in _spread(right, count * (row + 1) // rows - count * row // rows)
    }
    return sorted(found)


def _spread(last: int, count: int) -> list[int]:
    if count == 1:
        return [last // 2]
    return [(2 * index * last + count - 1) // (2 * (count - 1)) for index in range(count)]


def textured(pixels: Pixels, tiles: Tiles) -> list[Corner]:
    """Pick the corners of the grid of step size/2 whose tiles have the most texture.

    Texture is the variance of the differences between horizontal and vertical neighbours within the
    tile, of the sum of the three channels. Of tiles with the same texture the upper, then the left
    one goes first. Sums are of integers, so that the choice repeats everywhere.
    """
    step = max(1, tiles.size // 2)
    height, width = pixels.shape[:2]
    ranked = []
    for top in range(0, height - tiles.size + 1, step):
        stripe = pixels[top : top + tiles.size].sum(axis=2, dtype=np.int32)
        for left in range(0, width - tiles.size + 1, step):
            ranked.append((-_texture(stripe[:, left : left + tiles.size]), top, left))
    return sorted((top, left) for _, top, left in sorted(ranked)[: tiles.count])


def _texture(plane: np.ndarray) -> int:
    """Return the variance of neighbours' differences times the square of their number, exactly."""
    count = total = squares = 0
    for axis in (0, 1):
        differences = np.diff(plane, axis=axis).ravel()
        count += differences.size
        total += int(differences.sum(dtype=np.int64))
        squares += int(np.dot(differences, differences.astype(np.int64)))
    return count * squares - total * total
