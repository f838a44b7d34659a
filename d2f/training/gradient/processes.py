"""Several processes of `mlx.launch` that train one network, each on its share of every update."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np
from mlx.utils import tree_map
from numpy.typing import NDArray


@dataclass(frozen=True)
class Processes:
    """The processes, and which of them this is.

    Parameters
    ----------
    group : mlx.core.distributed.Group
    """

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
        """Return the sum of all processes' arrays."""
        if self.count == 1:
            return tree
        made = tree_map(lambda array: mx.distributed.all_sum(array, group=self.group), tree)
        mx.eval(made)
        return made

    def wait(self) -> None:
        """Wait until all processes are here."""
        self.sum(np.zeros(1))

    def sum(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum of all processes' numbers, in the precision of float32 pairs."""
        if self.count == 1:
            return values
        high = values.astype(np.float32)
        pair = mx.array(np.stack([high, (values - high).astype(np.float32)]))
        total: NDArray[np.float64] = np.array(self.sum_tree(pair)).astype(np.float64).sum(axis=0)
        return total
