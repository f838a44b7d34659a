"""What the parts of a `chain run` cost, in processor time: ``python -m tests.benchmarks.run_shares robust DIR``.

One thread of this process reads and judges the images (`--images` of them, evenly over the folder), after one that is
not counted; each part is timed without the parts within it. Then ``d2f chain run`` judges all of them in one process,
and in two: user and system time of all its processes.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from d2f import load_chain
from d2f.api.errors import D2FError
from d2f.engine.judge import Judge
from d2f.engine.local import LocalEngine
from d2f.images import read
from d2f.images.files import find_images
from d2f.output.lines import json_line

METHODS = {"precondition": "check", "evidence": "read", "preprocessor": "apply", "detector": "score"}


class Shares:
    """Seconds of processor time by part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._within: list[float] = [0.0]

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function whose time, less that of timed functions that it calls, counts as a part's."""

        def call(*arguments: Any, **named: Any) -> Any:
            begun = time.thread_time()
            self._within.append(0.0)
            try:
                return function(*arguments, **named)
            finally:
                spent = time.thread_time() - begun
                self.seconds[part] += spent - self._within.pop()
                self._within[-1] += spent

        return call


class Digests:
    """`hashlib`, its SHA-256 timed."""

    def __init__(self, shares: Shares) -> None:
        self.sha256 = shares.timed("hash", read.hashlib.sha256)


def measure(chain: str, paths: list[str]) -> dict[str, float]:
    """Return milliseconds an image by part."""
    plan, shares = load_chain(chain).plan, Shares()
    for label, stage in plan.stages:
        method = METHODS.get(label.partition(" ")[0], "read")
        setattr(stage, method, shares.timed(label, getattr(stage, method)))
    load = shares.timed("decode", read.load_image)
    read.read_bytes = shares.timed("read", read.read_bytes)
    read.hashlib = Digests(shares)  # type: ignore[assignment]
    read.jpeg_warning = shares.timed("look for damage", read.jpeg_warning)
    judge = Judge(plan)
    judged, written = shares.timed("verdict", judge.row), shares.timed("row as JSON", json_line)
    engine = LocalEngine(plan, workers=0)

    def run(chosen: list[str]) -> None:
        for scored in engine.score(map(load, chosen)):
            written(judged(scored))

    run(paths[:1])
    shares.seconds.clear()
    shares.timed("engine", run)(paths)
    return {part: 1000 * spent / len(paths) for part, spent in shares.seconds.items()}


def command_seconds(chain: str, paths: list[str], workers: int) -> float:
    """Return user and system time of a ``d2f chain run`` in so many processes."""
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "images.txt"
        listed.write_text("\n".join(paths))
        command = ["chain", "run", chain, str(listed), "-o", f"{folder}/rows.jsonl", "--workers", str(workers), "-q"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([Path(sys.executable).with_name("d2f"), *command], check=False, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.run_shares", description=__doc__)
    parser.add_argument("chain")
    parser.add_argument("folder")
    parser.add_argument("--images", type=int, default=200)
    given = parser.parse_args()
    found = list(find_images([given.folder]))
    paths = found[:: max(1, len(found) // given.images)][: given.images]
    parts = measure(given.chain, paths)
    total = sum(parts.values())
    print("| part | ms an image | share |\n|---|--:|--:|")
    for part, spent in sorted(parts.items(), key=lambda one: -one[1]):
        print(f"| {part} | {spent:.2f} | {spent / total:.1%} |")
    print(f"| all | {total:.2f} | |")
    for workers in (1, 2):
        start, whole = (command_seconds(given.chain, some, workers) for some in (paths[:1], paths))
        more = 1000 * (whole - start) / (len(paths) - 1)
        print(f"| `--workers {workers}`: start {start:.2f} s, then | {more:.2f} | |")


if __name__ == "__main__":
    try:
        main()
    except D2FError as error:
        sys.exit(str(error))
