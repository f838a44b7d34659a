"""From views to a tower's tokens, computed once for each crop where features are kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from d2f_towers.shared import shared_tower
from numpy.typing import NDArray

from d2f import Weights
from d2f.cache import features
from d2f_clip_probe.crops import crops
from d2f_clip_probe.options import Crop, Precision, blocks_of

Tokens = NDArray[np.float32]


class TokenMaker:
    """A tower and what is asked of it.

    Parameters
    ----------
    record : Weights
        Of the tower.
    architecture : str
        Its name among `d2f_towers.towers.TOWERS`.
    blocks : sequence of int
        After which blocks the class token is taken, or the mean of the patches where there is none; see `blocks_of`.
    kinds : sequence of {'whole', 'native', 'standard'}
        The crops.
    precision : {'float32', 'bfloat16'}
        In which the tower multiplies.

    Raises
    ------
    WeightsMissing, D2FError
        As `d2f_towers.towers.read_tower`; D2F504 where the tower has fewer blocks.
    """

    def __init__(
        self,
        record: Weights,
        architecture: str,
        blocks: Sequence[int],
        kinds: Sequence[Crop],
        precision: Precision = "float32",
    ) -> None:
        self.kinds = tuple(kinds)
        tower = shared_tower(record, architecture, precision)
        self.side = tower.tower.shape.size
        blocks = blocks_of(tuple(blocks), tower.tower.shape.depth)
        self._width = tower.tower.shape.width * len(blocks)
        self._compute = tower.after(blocks)
        about = "" if architecture == record.name else f"{architecture} "
        self._name = f"{record.sha256} {about}class tokens {' '.join(map(str, blocks))} {precision}"

    def seen(self, view: NDArray[np.uint8]) -> float:
        """Return the share of a view's pixels that the largest crop holds, in (0, 1]."""
        height, width = view.shape[:2]
        side = min(height, width, self.side) if set(self.kinds) == {"native"} else min(height, width)
        return side * side / (height * width)

    def __call__(self, views: Sequence[NDArray[np.uint8]]) -> Tokens:
        """Return the tokens of views, shape (views, crops, width * blocks), float32.

        Each crop goes through the tower alone, on a core of its own, so that its tokens do not depend on the others.
        """
        stacked = np.concatenate([crops(view, self.kinds, self.side) for view in views])
        found = features(self._name, stacked, self._compute)
        return found.reshape(len(views), len(self.kinds), self._width)
