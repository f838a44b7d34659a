"""A process that times cases on demand: `python -m tests.benchmarks.speed.worker mlx|torch CORES`.

It reads a line of JSON, ``{"case": index, "calls": n or null}``, and answers with one: seconds a call by the
wall and by the processor, how many calls were timed, and a sample of the result.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from tests.benchmarks.speed.cases import all_cases
from tests.benchmarks.speed.numbers import sample

SHORTEST = 0.1
"""Seconds that a measurement lasts at least, by repeating the call."""


def main() -> None:
    """Answer until the input ends."""
    side, cores = sys.argv[1], int(sys.argv[2])
    build = _torch_build(cores) if side == "torch" else _mlx_build()
    cases, current = all_cases(), None
    for line in sys.stdin:
        asked = json.loads(line)
        if current is None or current[0] != asked["case"]:
            current = None  # Its arrays go before the next case's come.
            current = (asked["case"], *_prepared(build, cases[asked["case"]]))
        _, work, calls, seen = current
        print(json.dumps(_timed(work, asked["calls"] or calls) | {"sample": seen}), flush=True)


def _prepared(build: Callable[..., Any], case: Any) -> tuple[Callable[[], Any], int, list[float]]:
    work, as_numpy = build(case)
    seen = sample(*as_numpy(work()))
    start = time.perf_counter()
    work()
    return work, max(1, round(SHORTEST / (time.perf_counter() - start))), seen


def _timed(work: Callable[[], Any], calls: int) -> dict[str, float]:
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(calls):
        work()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return {"wall": wall / calls, "cpu": processor / calls, "calls": calls}


def _mlx_build() -> Callable[..., Any]:
    from d2f.mlx_cpu.hook import claim_process

    claim_process()
    from tests.benchmarks.speed.mlx_side import build

    return build


def _torch_build(cores: int) -> Callable[..., Any]:
    import torch

    torch.set_num_threads(cores)
    from tests.benchmarks.speed.torch_side import build

    return build


if __name__ == "__main__":
    main()
