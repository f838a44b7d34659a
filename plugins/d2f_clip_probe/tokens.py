"""From views to the tower's class tokens, computed once for each crop where features are kept."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2f import Weights
from d2f.features import features
from d2f_clip_probe.crops import Crop, crops
from d2f_clip_probe.tower import WIDTH

SMALLEST = 64
"""A view with a shorter side than this, in pixels, is mostly invented where it is resized."""

Tokens = NDArray[np.float32]


def unfit(view: NDArray[np.uint8]) -> str:
    """Return why a view, uint8 (height, width, 3), is not looked at; empty where it is."""
    height, width = view.shape[:2]
    return f"{width}x{height} pixels, of which it needs {SMALLEST} a side" if min(height, width) < SMALLEST else ""


class TokenMaker:
    """The tower and what is asked of it.

    Parameters
    ----------
    record : Weights
        Of the tower.
    blocks : sequence of int
        After which blocks the class token is taken.
    kinds : sequence of {'whole', 'native'}
        The crops.

    Raises
    ------
    WeightsMissing, D2FError
        As `d2f_clip_probe.tower_file.read_tower`.
    """

    def __init__(self, record: Weights, blocks: Sequence[int], kinds: Sequence[Crop]) -> None:
        self.kinds = tuple(kinds)
        self._tower = _tower(record, tuple(blocks))
        self._name = f"{record.sha256} class tokens {' '.join(map(str, blocks))}"
        self._width = WIDTH * len(blocks)

    def __call__(self, views: Sequence[NDArray[np.uint8]]) -> Tokens:
        """Return the tokens of views, shape (views, crops, 768 * blocks), float32.

        Each crop goes through the tower alone, on a core of its own, so that its tokens do not depend on the others.
        """
        stacked = np.concatenate([crops(view, self.kinds) for view in views])
        found = features(self._name, stacked, self._computed)
        return found.reshape(len(views), len(self.kinds), self._width)

    def _computed(self, pictures: NDArray[np.uint8]) -> Tokens:
        import mlx.core as mx

        from d2f.layers import parallel

        return np.array(parallel(self._tower, mx.array(pictures), images=1))


@lru_cache(maxsize=1)
def _tower(record: Weights, blocks: tuple[int, ...]) -> Any:
    # Kept: a chain may look through one tower twice, and it is 344 MB.
    from d2f_clip_probe.tower_file import read_tower

    return read_tower(record, blocks)
