"""Processor time of one picture through each image tower, on one core: `python -m tests.benchmarks.towers [NAME]…`.

Weights are drawn: the time does not depend on them. Say OPENBLAS_NUM_THREADS=1.
"""

from __future__ import annotations

import gc
import sys
import time

import mlx.core as mx
import numpy as np
from d2f_towers.towers import TOWERS, tokens_of

from d2f.models import Normalisation, ViT, parameter_count

PASSES = 2


def main() -> None:
    """Print a line for each tower: millions of parameters, seconds of a core a picture."""
    for name in sys.argv[1:] or TOWERS:
        tower = TOWERS[name]
        network = ViT(tower.shape, Normalisation(tower.framing.mean, tower.framing.deviation))
        mx.eval(network.parameters())
        tokens = tokens_of(network, (tower.shape.depth,))
        size = tower.shape.size
        pictures = np.random.default_rng(0).integers(0, 256, (PASSES + 1, size, size, 3), dtype=np.uint8)
        tokens(pictures[:1])
        begun = time.process_time()
        for picture in pictures[1:]:
            tokens(picture[None])
        each = (time.process_time() - begun) / PASSES
        print(f"{name:18} {parameter_count(network) / 1e6:6.0f} M  {each:6.2f} s", flush=True)
        del network, tokens
        gc.collect()


if __name__ == "__main__":
    main()
