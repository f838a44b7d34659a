"""How many windows frequency-residual scores a second on one core: python tests/benchmarks/frequency_residual.py"""

from __future__ import annotations

import os
import time

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np

from d2f.plugins.build import build
from d2f.plugins.catalog import Catalog

VIEWS = 32
ROUNDS = 5
SIDES = (224, 320, 512)


def main() -> None:
    """Print the best and the median of some rounds, by processor time."""
    detector = build(Catalog.discover(), "detector", "frequency-residual", {})
    detector.load()
    for side in SIDES:
        views = list(np.random.default_rng(0).integers(0, 256, (VIEWS, side, side, 3), np.uint8))
        detector.score(views)
        rates = []
        for _ in range(ROUNDS):
            start = time.process_time()
            detector.score(views)
            rates.append(VIEWS / (time.process_time() - start))
        median = sorted(rates)[ROUNDS // 2]
        print(f"views of {side}x{side} a second on one core: best {max(rates):.0f}, median {median:.0f}")


if __name__ == "__main__":
    main()
