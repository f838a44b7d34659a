"""Time and memory of one call, and what stays behind."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SECONDS = 60.0
"""An image of 512 x 512 that takes longer than this on one machine is out of reach of any batch."""

BYTES = 4 * 2**30
"""Memory that one image of 512 x 512 may take."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one call took.

    Parameters
    ----------
    seconds : float
        Wall time.
    size : int
        The most bytes that Python and NumPy held at once; what other libraries allocate is not seen.
    """

    seconds: float
    size: int

    def __str__(self) -> str:
        return f"{in_seconds(self.seconds)} and {in_bytes(self.size)} an image of 512x512"

    def excess(self) -> list[str]:
        """Return what is out of bounds, in words."""
        found = [f"{self.seconds:.0f} s an image of 512x512; bound {SECONDS:.0f} s"] if self.seconds > SECONDS else []
        return found + ([f"{in_bytes(self.size)} an image; bound {in_bytes(BYTES)}"] if self.size > BYTES else [])


def measured(call: Callable[[], object]) -> Cost:
    """Return what a call costs: its time first, then, in another call, its memory."""
    begun = time.perf_counter()
    call()
    seconds = time.perf_counter() - begun
    with traced():
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        call()
        return Cost(seconds, tracemalloc.get_traced_memory()[1] - before)


def left_behind(call: Callable[[], object]) -> int:
    """Return how many bytes more Python and NumPy hold after a call than before it."""
    with traced():
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        call()
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before


@contextmanager
def traced() -> Iterator[None]:
    """Trace allocations while the block runs, and go on tracing if somebody already did."""
    already = tracemalloc.is_tracing()
    if not already:
        tracemalloc.start()
    try:
        yield
    finally:
        if not already:
            tracemalloc.stop()


def in_seconds(seconds: float) -> str:
    """Return a duration: ``12 ms``, ``3.4 s``."""
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def in_bytes(size: int) -> str:
    """Return a size: ``31 MB``."""
    return f"{size / 1e6:.2g} MB" if size < 1e8 else f"{size / 1e9:.2g} GB"
