"""What each preprocessor costs on a picture of 512x512: `python -m tests.benchmarks.preprocessors [SPEC ...]`.

One that needs weights is measured when it is named and they are here; on one core, under `taskset -c 0` on Linux.
"""

from __future__ import annotations

import sys

from skimage.data import astronaut

from d2f.engine.findings import load_once
from d2f.engine.spec import parse_spec
from d2f.mlx_cpu.hook import claim_process
from d2f.plugins.catalog import Catalog
from tests.benchmarks.clock import fastest

SPECS = (
    *("wiener:3", "wiener:7", "wiener:31", "jpeg:60", "jpeg:95,subsampling=4:4:4", "webp:80", "median:3", "median:5"),
    *("median:7", "gaussian-blur:0.5", "gaussian-blur:1", "gaussian-blur:2", "resize:0.5", "resize:0.5,back=true"),
    *("resize:longest=128,back=true", "crop:fraction=0.8", "noise:2", "greyscale"),
)


def main() -> None:
    """Print milliseconds of process time, the least of several runs."""
    claim_process()
    picture = astronaut()
    for spec in sys.argv[1:] or SPECS:
        for step in parse_spec(spec, Catalog.discover()):
            load_once(step.stage)
            runs = 3 if hasattr(step.stage, "load") else 15
            took = fastest(lambda stage=step.stage: stage.apply(picture, 1), runs)  # type: ignore[misc]
            print(f"{took:8.1f} ms  {spec}")


if __name__ == "__main__":
    main()
