"""A tower's tokens, computed once for a picture whatever stages ask for them."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from d2f import D2FError, Exit, Weights
from d2f_towers.towers import TOWERS, read_tower, tokens_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Tokens = NDArray[np.float32]

Precision: TypeAlias = Literal["float32", "bfloat16"]
"""In which a tower multiplies: scores differ in the third digit, so that it is an option, never the machine's."""

KEPT = 64
"""Pictures whose tokens stay in memory: those that stages of one chain ask for one after the other."""


class SharedTower:
    """A tower with its weights, and the tokens of the pictures that it saw last.

    Parameters
    ----------
    record : Weights
    architecture : str
        A key of `d2f_towers.towers.TOWERS`.
    precision : {'float32', 'bfloat16'}

    Raises
    ------
    WeightsMissing, D2FError
        As `d2f_towers.towers.read_tower`; D2F206 where bfloat16 lacks PyTorch.
    """

    def __init__(self, record: Weights, architecture: str, precision: Precision = "float32") -> None:
        self.tower = TOWERS[architecture]
        self.computed = 0
        network = read_tower(record, self.tower)
        self._compute: Callable[[NDArray[np.uint8], tuple[int, ...]], Tokens]
        if precision == "bfloat16":
            from d2f_towers.bfloat16 import Bfloat16Tower

            self._compute = Bfloat16Tower(network)
        else:
            self._compute = lambda pictures, blocks: tokens_of(network, blocks)(pictures)
        self._asked: tuple[int, ...] = ()
        self._kept: OrderedDict[bytes, dict[int, Tokens]] = OrderedDict()
        self._lock = threading.Lock()

    def after(self, blocks: Sequence[int]) -> Callable[[NDArray[np.uint8]], Tokens]:
        """Return what makes the tokens after these blocks; from now on every picture's are made, for all who ask.

        Raises
        ------
        D2FError
            D2F504: the tower has fewer blocks.
        """
        depth = self.tower.shape.depth
        if max(blocks) > depth:
            message = f"tokens after block {max(blocks)} are asked for, and the tower has {depth} blocks"
            raise D2FError.of("D2F504", message, exit=Exit.PLUGIN)
        with self._lock:
            self._asked = tuple(sorted({*self._asked, *blocks}))

        def made(pictures: NDArray[np.uint8]) -> Tokens:
            return self.tokens(pictures, blocks)

        return made

    def tokens(self, pictures: NDArray[np.uint8], blocks: Sequence[int]) -> Tokens:
        """Return the tokens after blocks that were asked for, one behind the other.

        Parameters
        ----------
        pictures : numpy.ndarray, shape (n, size, size, 3), uint8
        blocks : sequence of int

        Returns
        -------
        numpy.ndarray, shape (n, width * len(blocks)), float32
            Each picture's the same whatever the others are, and whatever other blocks were asked for.
        """
        keys = [hashlib.blake2b(picture.tobytes(), digest_size=16).digest() for picture in pictures]
        with self._lock:
            asked = self._asked
            known = {key: self._kept[key] for key in keys if self._kept.get(key, {}).keys() >= set(blocks)}
        places = {key: place for place, key in enumerate(keys) if key not in known}
        if places:
            made = self._compute(pictures[list(places.values())], asked).reshape(len(places), len(asked), -1)
            fresh = {key: dict(zip(asked, rows, strict=True)) for key, rows in zip(places, made, strict=True)}
            known |= fresh
            with self._lock:
                self.computed += len(fresh)
                self._kept.update(fresh)
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        return np.stack([np.concatenate([known[key][block] for block in blocks]) for key in keys])


@lru_cache(maxsize=3)
def shared_tower(record: Weights, architecture: str, precision: Precision = "float32") -> SharedTower:
    """Return the tower of a record; the same one for all stages that look through it."""
    return SharedTower(record, architecture, precision)
