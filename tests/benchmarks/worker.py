"""What a request to a worker process costs: ``python -m tests.benchmarks.worker``.

Prints milliseconds of wall time: the start of a process, a request without pixels, one with a picture of 12 megapixels
that the worker only looks at, and, for comparison, the copy of such a picture within a process.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from d2f.engine.worker import Worker

SHAPE = (3000, 4000, 3)


def look(_: Any) -> Callable[[Any], Any]:
    """Return the worker's handler: the shape of an array, None of anything else."""
    return lambda request: getattr(request, "shape", None)


def milliseconds(work: Callable[[], object], runs: int) -> str:
    """Time some work; return the median and the fastest of its runs."""
    times = []
    for _ in range(runs):
        begun = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - begun))
    return f"{statistics.median(times):8.3f} ms   (fastest {min(times):.3f})"


def main() -> None:
    """Print the table."""
    pixels = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)
    with Worker("tests.benchmarks.worker:look") as worker:
        print(f"start           {milliseconds(worker.start, 1)}")
        print(f"empty request   {milliseconds(lambda: worker.ask(None), 1000)}")
        assert worker.ask(pixels) == SHAPE
        print(f"12 megapixels   {milliseconds(lambda: worker.ask(pixels), 50)}")
    print(f"numpy copy      {milliseconds(pixels.copy, 50)}")


if __name__ == "__main__":
    main()
