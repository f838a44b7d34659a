"""Tiles cut from a view: where they lie, and the pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from d2f.api.inputs import Pixels, Tiles

Corner = tuple[int, int]
"""Row and column of a tile's upper left pixel."""


def cut(pixels: Pixels, corners: list[Corner], size: int) -> Pixels:
    """Return copies of the tiles, shape (len(corners), size, size, 3), uint8."""
    return np.stack([pixels[top : top + size, left : left + size] for top, left in corners])


def covered(corners: list[Corner], size: int, height: int, width: int) -> float:
    """Return the share of a view's pixels that lie in at least one tile, in (0, 1]."""
    rows = np.unique([edge for top, _ in corners for edge in (top, top + size)])
    columns = np.unique([edge for _, left in corners for edge in (left, left + size)])
    inside = np.zeros((len(rows), len(columns)), dtype=bool)
    for top, left in corners:
        down, right = np.searchsorted(rows, (top, top + size)), np.searchsorted(columns, (left, left + size))
        inside[down[0] : down[1], right[0] : right[1]] = True
    area = inside[:-1, :-1] * np.outer(np.diff(rows), np.diff(columns))
    return float(area.sum() / (height * width))


def tile_corners(pixels: Pixels, tiles: Tiles) -> list[Corner]:
    """Return the corners of a view's tiles, row by row; none where the view is smaller than a tile.

    Depends on the pixels and on `tiles` only. Tiles that would lie in the same place are taken once.

    `pixels` shape (height, width, 3), uint8.
    """
    height, width = pixels.shape[:2]
    down, right = height - tiles.size, width - tiles.size
    if down < 0 or right < 0:
        return []
    if tiles.pick == "centre":
        return [(down // 2, right // 2)]
    if tiles.pick == "grid":
        return grid_corners(down, right, tiles.count, height / width)
    return textured(pixels, tiles)


def grid_corners(down: int, right: int, count: int, aspect: float) -> list[Corner]:
    """Spread `count` corners evenly over rows 0..down and columns 0..right.

    As many rows as keep the spacing alike both ways, each with its share of the tiles, reaching from
    edge to edge; a row or a column of one lies in the middle.
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
    size, step = tiles.size, max(1, tiles.size // 2)
    height, width = pixels.shape[:2]
    lefts = np.arange(0, width - size + 1, step)
    ranked = []
    for top in range(0, height - size + 1, step):
        textures = _textures(_grey(pixels[top : top + size]), lefts, size)
        ranked += [(-texture, top, int(left)) for texture, left in zip(textures, lefts, strict=True)]
    return sorted((top, left) for _, top, left in sorted(ranked)[: tiles.count])


def _grey(pixels: Pixels) -> NDArray[np.int32]:
    # Three additions: a sum over the short last axis takes 15 times as long.
    return pixels[..., 0].astype(np.int32) + pixels[..., 1] + pixels[..., 2]


def _textures(stripe: NDArray[np.int32], lefts: NDArray[np.int_], size: int) -> list[int]:
    """Return, of each tile of a stripe, its texture times the square of the number of differences."""
    down, right = np.diff(stripe, axis=0), np.diff(stripe, axis=1)
    count = 2 * size * (size - 1)
    total = _windows(down.sum(axis=0), lefts, size) + _windows(right.sum(axis=0), lefts, size - 1)
    squares = _windows(_squares(down), lefts, size) + _windows(_squares(right), lefts, size - 1)
    # In Python's integers: the product passes 64 bits for the largest tiles.
    return [count * int(square) - int(one) ** 2 for square, one in zip(squares, total, strict=True)]


def _squares(differences: NDArray[np.int32]) -> NDArray[np.int64]:
    sums: NDArray[np.int64] = np.einsum("ij,ij->j", differences, differences, dtype=np.int64)
    return sums


def _windows(columns: NDArray[np.int64], lefts: NDArray[np.int_], length: int) -> NDArray[np.int64]:
    """Return the sums of `length` columns from each of `lefts` on."""
    running = np.concatenate(([0], np.cumsum(columns, dtype=np.int64)))
    return running[lefts + length] - running[lefts]
