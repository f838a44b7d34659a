"""Batches made ahead by mlx-data or by plain threads, in the same order, and how long the device waited for them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import islice
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from d2f.api.inputs import Pixels

AHEAD = 3
"""Batches that are made ahead."""


class Batch(NamedTuple):
    """Tiles and which they are."""

    pixels: Pixels
    numbers: NDArray[np.int64]


Indices: TypeAlias = NDArray[np.int64]
"""Tiles to be fed, shape (n, 2): the number of each and its place in the epoch."""

Make: TypeAlias = Callable[[int, int], Pixels]
"""A tile's number and its place to its pixels; called from several threads."""


@dataclass
class Feeder:
    """Feeds batches and measures how long was waited for them."""

    workers: int = 1
    native: bool = field(default_factory=lambda: find_spec("mlx.data") is not None)
    waited: float = 0.0

    @property
    def name(self) -> str:
        """What feeds."""
        return "mlx-data" if self.native else "threads"

    def batches(self, wanted: Indices, size: int, make: Make) -> Iterator[Batch]:
        """Yield the tiles that are wanted, in order, `size` at a time; the last batch may be smaller."""
        if self.native:
            import mlx.data  # noqa: F401  Its import is no waiting.
        stream = (_by_mlx_data if self.native else _by_threads)(wanted, size, make, self.workers)
        while True:
            begun = time.perf_counter()
            batch = next(stream, None)
            self.waited += time.perf_counter() - begun
            if batch is None:
                return
            yield batch


def in_order(count: int) -> Indices:
    """Return tiles 0 to count - 1, each at its own place."""
    return np.stack([np.arange(count)] * 2, axis=1)


def _by_mlx_data(wanted: Indices, size: int, make: Make, workers: int) -> Iterator[Batch]:
    import mlx.data as dx

    # A sample is a tile's name; its pixels are loaded when a thread comes to it.
    names = [{"tile": name} for name in wanted]

    def load(name: NDArray[np.int64]) -> Pixels:
        return make(int(name[0]), int(name[1]))

    # `prefetch` of a stream does not keep the order, on which equal runs depend; that of a buffer does.
    buffer = dx.buffer_from_vector(names).key_transform("tile", load, "pixels")
    for batch in buffer.ordered_prefetch(AHEAD * size, workers).batch(size):
        yield Batch(batch["pixels"], batch["tile"][:, 0])


def _by_threads(wanted: Indices, size: int, make: Make, workers: int) -> Iterator[Batch]:
    later = iter(wanted.tolist())
    with ThreadPoolExecutor(workers) as pool:
        waiting = deque((name[0], pool.submit(make, *name)) for name in islice(later, AHEAD * size))
        while waiting:
            taken = [waiting.popleft() for _ in range(min(size, len(waiting)))]
            waiting.extend((name[0], pool.submit(make, *name)) for name in islice(later, len(taken)))
            yield Batch(np.stack([future.result() for _, future in taken]), np.array([name for name, _ in taken]))
