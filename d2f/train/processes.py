"""Data-parallel training: the processes that `mlx.launch` started, and sums over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten, tree_unflatten
from numpy.typing import NDArray


@dataclass(frozen=True)
class Processes:
    """The processes, and which of them this is."""

    group: Any

    @classmethod
    def found(cls) -> Processes:
        """Join the others, where `mlx.launch` started this process; else be alone."""
        return cls(mx.distributed.init())

    @property
    def rank(self) -> int:
        """This process's number; 0 writes."""
        return int(self.group.rank())

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self.group.size())

    def sum_tree(self, tree: Any) -> Any:
        """Return the sum of all processes' arrays, float32, as a tree of the same names."""
        if self.count == 1:
            return tree
        # All in one: each call waits for every process.
        named = tree_flatten(tree)
        cuts = np.cumsum([array.size for _, array in named])[:-1].tolist()
        total = mx.distributed.all_sum(mx.concatenate([array.reshape(-1) for _, array in named]), group=self.group)
        parts = [part.reshape(array.shape) for part, (_, array) in zip(mx.split(total, cuts), named, strict=True)]
        mx.eval(parts)
        return tree_unflatten([(name, part) for (name, _), part in zip(named, parts, strict=True)])

    def wait(self) -> None:
        """Wait until all processes are here."""
        self.sum(np.zeros(1))

    def sum(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum of all processes' numbers, in the precision of float32 pairs."""
        if self.count == 1:
            return values
        high = values.astype(np.float32)
        pair = mx.array(np.stack([high, (values - high).astype(np.float32)]))
        total: NDArray[np.float64] = np.array(self.sum_tree({"pair": pair})["pair"]).astype(np.float64).sum(axis=0)
        return total
