"""From views to the tower's class tokens, computed once for each crop where features are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from d2f import Weights
from d2f.cache import features
from d2f_clip_probe.crops import crops
from d2f_clip_probe.options import Crop, Precision
from d2f_clip_probe.tower import SIDE, WIDTH

Tokens = NDArray[np.float32]


class TokenMaker:
    """The tower and what is asked of it.

    Parameters
    ----------
    record : Weights
        Of the tower.
    blocks : sequence of int
        After which blocks the class token is taken.
    kinds : sequence of {'whole', 'native', 'standard'}
        The crops.
    precision : {'float32', 'bfloat16'}
        In which the tower multiplies.

    Raises
    ------
    WeightsMissing, D2FError
        As `d2f_clip_probe.tower_file.read_tower`.
    """

    def __init__(
        self, record: Weights, blocks: Sequence[int], kinds: Sequence[Crop], precision: Precision = "float32"
    ) -> None:
        self.kinds = tuple(kinds)
        self._compute = _tower(record, tuple(blocks), precision)
        self._name = f"{record.sha256} class tokens {' '.join(map(str, blocks))} {precision}"
        self._width = WIDTH * len(blocks)

    def seen(self, view: NDArray[np.uint8]) -> float:
        """Return the share of a view's pixels that the largest crop holds, in (0, 1]."""
        height, width = view.shape[:2]
        side = min(height, width, SIDE) if set(self.kinds) == {"native"} else min(height, width)
        return side * side / (height * width)

    def __call__(self, views: Sequence[NDArray[np.uint8]]) -> Tokens:
        """Return the tokens of views, shape (views, crops, 768 * blocks), float32.

        Each crop goes through the tower alone, on a core of its own, so that its tokens do not depend on the others.
        """
        stacked = np.concatenate([crops(view, self.kinds) for view in views])
        found = features(self._name, stacked, self._compute)
        return found.reshape(len(views), len(self.kinds), self._width)


@lru_cache(maxsize=1)
def _tower(record: Weights, blocks: tuple[int, ...], precision: Precision) -> Callable[[NDArray[np.uint8]], Tokens]:
    """Return what computes tokens; cached, as a chain may look through one tower twice."""
    from d2f_clip_probe.tower_file import read_tower

    tower = read_tower(record, blocks)
    if precision == "bfloat16":
        from d2f_clip_probe.bfloat16 import Bfloat16Tower

        return Bfloat16Tower(tower)

    def computed(pictures: NDArray[np.uint8]) -> Tokens:
        import mlx.core as mx

        from d2f.layers import parallel

        return np.array(parallel(tower, mx.array(pictures), images=1))

    return computed
