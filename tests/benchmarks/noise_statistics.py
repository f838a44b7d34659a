"""How many 512x512 views noise-statistics scores a second on one core: python -m tests.benchmarks.noise_statistics"""

from __future__ import annotations

import os
import time

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

from d2f.plugins.build import build
from d2f.plugins.catalog import Catalog
from tests.benchmarks.pictures import picture

VIEWS = 40
ROUNDS = 5


def main() -> None:
    """Print the best and the median of some rounds, by processor time."""
    detector = build(Catalog.discover(), "detector", "noise-statistics", {})
    detector.load()
    views = [picture(seed) for seed in range(VIEWS)]
    detector.score(views[:2])
    rates = []
    for _ in range(ROUNDS):
        start = time.process_time()
        detector.score(views)
        rates.append(VIEWS / (time.process_time() - start))
    print(f"views of 512x512 a second on one core: best {max(rates):.0f}, median {sorted(rates)[ROUNDS // 2]:.0f}")


if __name__ == "__main__":
    main()
