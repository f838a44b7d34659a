"""Where tiles are cut from a picture, and which are too flat to keep."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np

from d2f.api.arrays import Pixels

Pick: TypeAlias = Literal["centre", "grid", "random"]
PICKS: tuple[Pick, ...] = get_args(Pick)

Corner: TypeAlias = tuple[int, int]
"""Left and top of a tile, in pixels."""


def corners(width: int, height: int, size: int, pick: Pick, count: int, seed: int) -> list[Corner]:
    """Return where tiles are cut.

    Parameters
    ----------
    width, height : int
        Of the picture, in pixels.
    size : int
        Side of a tile.
    pick : {'centre', 'grid', 'random'}
        ``centre``: one in the middle. ``grid``: side by side without overlap, the grid centred; of more than `count`, a
        seeded choice. ``random``: `count` at random, each pair sharing less than a quarter of a tile; fewer where
        there is no room.
    count : int
        The most tiles, at least 1.
    seed : int
        Of grid and random.

    Returns
    -------
    list of (int, int)
        None where the picture is smaller than a tile.

    Examples
    --------
    >>> corners(500, 300, 224, "grid", 9, seed=0)
    [(26, 38), (250, 38)]
    """
    across, down = width - size, height - size
    if across < 0 or down < 0:
        return []
    if pick == "centre":
        return [(across // 2, down // 2)]
    random = np.random.default_rng(seed)
    if pick == "random":
        return _apart(across, down, size, count, random)
    found = _grid(width, height, size)
    chosen = np.sort(random.permutation(len(found))[:count])
    return [found[i] for i in chosen]


def is_flat(tile: Pixels, level: float) -> bool:
    """Whether the standard deviation of a tile's luma (ITU-R BT.601) is below a level, in levels of 255.

    Skies and walls tell little of where a picture is from, and the same of both labels.
    """
    luma = tile.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    return bool(luma.std() < level)


def _grid(width: int, height: int, size: int) -> list[Corner]:
    left, top = width % size // 2, height % size // 2
    return [(x, y) for y in range(top, height - size + 1, size) for x in range(left, width - size + 1, size)]


def _apart(across: int, down: int, size: int, count: int, random: np.random.Generator) -> list[Corner]:
    found: list[Corner] = []
    for x, y in random.integers(0, (across + 1, down + 1), size=(20 * count, 2)).tolist():
        if len(found) < count and all(4 * _shared(x - a, y - b, size) < size**2 for a, b in found):
            found.append((x, y))
    return found


def _shared(x: int, y: int, size: int) -> int:
    return max(0, size - abs(x)) * max(0, size - abs(y))
