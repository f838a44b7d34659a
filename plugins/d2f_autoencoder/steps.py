"""Steps from map to map: layers that look only so far, window by window, and pools that look at everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import mlx.core as mx
import numpy as np

from d2f.layers import parallel
from d2f_autoencoder.network import Arrays, Layer, Pool, block
from d2f_autoencoder.shapes import WIDTH
from d2f_autoencoder.windows import Map, Reach, over

SIDE = 112
"""Of a window, in elements of the finer of its two maps: the fastest of 64 to 512 on one core of a shared machine."""

COARSE = 64
"""Of a window of the coarsest map."""

Step: TypeAlias = Callable[[Map], Map]


@dataclass(frozen=True)
class Local:
    """Layers that look only so far.

    Parameters
    ----------
    layers : callable
        Of an array (n, height, width, channels).
    reach : Reach
    side : int
        Of a window, in elements of the input.
    """

    layers: Layer
    reach: Reach
    side: int = COARSE

    def __call__(self, whole: Map) -> Map:
        """Return what the layers make of a map (height, width, channels), float32."""
        return over(whole, self._run, self.reach, self.side)

    def _run(self, windows: Sequence[Map]) -> Sequence[Map]:
        # One window at a time on each core: the result must not depend on how many cores there are.
        return list(np.array(parallel(self.layers, mx.array(np.stack(windows)), images=1)))


def pooled(arrays: Arrays, places: Sequence[int]) -> tuple[Step, ...]:
    """Return the blocks of the coarsest map, each behind its pool."""
    found: list[Step] = []
    for place in places:
        found += [Pool(arrays, f"{place}.pool"), Local(block(arrays, str(place)), Reach(3, WIDTH))]
    return tuple(found)


def in_turn(steps: Sequence[Step], whole: Map) -> Map:
    """Return a map after one step and the next."""
    for step in steps:
        whole = step(whole)
    return whole
