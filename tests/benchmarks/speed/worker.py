"""A process that times cases on demand: `python -m tests.benchmarks.speed.worker mlx|torch CORES`.

It reads a line of JSON, ``{"case": {…}, "calls": n or null}``, and answers with one: seconds a call by the wall and
by the processor, how many calls were timed, and a sample of the result (in ``precision`` also of the exact one); or
``{"missing": why}`` where this side cannot do the case.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from d2f.mlx_cpu.hook import claim_process

SHORTEST = 0.1
"""Seconds of processor time that a measurement lasts at least, by repeating the call."""


def main() -> None:
    """Answer until the input ends."""
    side, cores = sys.argv[1], int(sys.argv[2])
    build = _torch_build(cores) if side == "torch" else _mlx_build()
    from tests.benchmarks.speed.cases import Case

    asked: dict[str, Any] | None = None
    for line in sys.stdin:
        request = json.loads(line)
        if asked != request["case"]:
            asked, work = request["case"], None  # Its arrays go before the next case's come.
            try:
                work, calls, seen = _prepared(build, Case.read(request["case"]))
            except (KeyError, ValueError) as why:
                asked = None
                print(json.dumps({"missing": str(why.args[0])}), flush=True)
                continue
        assert work is not None
        print(json.dumps(_timed(work, request["calls"] or calls) | seen), flush=True)


def _prepared(build: Callable[..., Any], case: Any) -> tuple[Callable[[], Any], int, dict[str, list[float]]]:
    from tests.benchmarks.speed.numbers import sample

    work, as_numpy = build(case)
    seen = {"sample": sample(*as_numpy(work()))}
    if case.kind == "precision" and sys.argv[1] == "torch":
        from tests.benchmarks.speed.torch_side import exact

        seen["exact"] = sample(*exact(case))
    start = time.process_time()
    work()
    return work, max(1, round(SHORTEST / max(1e-6, time.process_time() - start))), seen


def _timed(work: Callable[[], Any], calls: int) -> dict[str, float]:
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(calls):
        work()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return {"wall": wall / calls, "cpu": processor / calls, "calls": calls}


def _mlx_build() -> Callable[..., Any]:
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
