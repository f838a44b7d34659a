"""A run killed at seeded random moments, then resumed: are its rows those of a run that was left alone?

    python -m tests.benchmarks.kills --moments 20 --seed 1 -o kills.jsonl

Killed by SIGKILL: a worker process, d2f's own process, a Ray actor (extra `ray`). Again with the same output it goes on
where it stopped. Exit code 1 where any run's rows differ.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from tests.cli.toy import PLUGIN, Toy
from tests.distributions import Distributions
from tests.ray_cluster import ray_cluster

IMAGES = 200
SECONDS = 0.01
TARGETS = ("worker", "main", "actor")


def made_toy(folder: Path, images: int = IMAGES) -> Toy:
    """Install the toy plugin below a folder, and make the pictures and a chain that takes its time over each."""
    (folder / "site-packages").mkdir(parents=True)
    (folder / "work").mkdir()
    toy = Toy(folder / "work", Distributions(folder / "site-packages"))
    toy.distributions.add_plugin("toy", PLUGIN)
    for number in range(images):
        toy.picture(f"photos/{number:04}.png", (number % 256, number % 256, number % 256))
    toy.slow(SECONDS)
    return toy


def command(toy: Toy, target: str, output: str) -> list[str]:
    """Return the command line of a run that is to lose a process of this kind."""
    engine = ["--engine", "ray"] if target == "actor" else []
    return toy.command("slow.yaml", "photos", *engine, "--workers", "2", "-o", output, "--resume", "-q")


def processes(target: str, main: int) -> list[int]:
    """Return the processes of this kind that run now."""
    if target == "main":
        return [main]
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            words = (place / "cmdline").read_bytes()
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            worker = target == "worker" and parent == main and b"worker_child" in words
            if worker or (target == "actor" and words.startswith(b"ray::RowActor")):
                found.append(int(place.name))
    return found


def victims(toy: Toy, target: str, running: subprocess.Popen[bytes], rows: int, pause: float) -> list[int]:
    """Wait until a run has written so many rows, and a little more; return the processes that may be killed."""
    output = toy.folder / f"{target}.jsonl"
    while running.poll() is None:
        if output.exists() and output.read_bytes().count(b"\n") >= rows and (found := processes(target, running.pid)):
            time.sleep(pause)
            return found if running.poll() is None else []
        time.sleep(0.02)
    return []


def killed_and_resumed(toy: Toy, target: str, rows: int, dice: random.Random) -> dict[str, Any]:
    """Kill a process of a run after so many rows, let the run end or resume it; return what came of it."""
    output = toy.folder / f"{target}.jsonl"
    for old in (output, Path(f"{output}.run.json")):
        old.unlink(missing_ok=True)
    hit, runs = False, 0
    while runs < 5:
        runs += 1
        with subprocess.Popen(command(toy, target, output.name), cwd=toy.folder, env=toy.environment) as running:
            if runs == 1:
                alive = victims(toy, target, running, rows, dice.uniform(0, 0.2))
                with suppress(ProcessLookupError, IndexError):
                    os.kill(dice.choice(alive), signal.SIGKILL)
                    hit = True
            code = running.wait(120)
        if code == 0:
            break
    written = output.read_bytes() if output.exists() else b""
    same = code == 0 and written == (toy.folder / "reference.jsonl").read_bytes()
    return {"target": target, "rows": rows, "hit": hit, "runs": runs, "same": same}


def uninterrupted(toy: Toy, target: str) -> None:
    """Have the rows of a run that is left alone as the reference."""
    output = toy.folder / "alone.jsonl"
    subprocess.run(command(toy, target, output.name), cwd=toy.folder, env=toy.environment, check=True, timeout=300)
    Path(f"{output}.run.json").unlink()
    reference = toy.folder / "reference.jsonl"
    if reference.exists():
        assert reference.read_bytes() == output.read_bytes()
    output.replace(reference)


def moments(toy: Toy, target: str, count: int, seed: int, skipped: int = 0) -> Iterator[dict[str, Any]]:
    """Yield what came of each kill."""
    uninterrupted(toy, target)
    images = (toy.folder / "reference.jsonl").read_bytes().count(b"\n")
    dice = random.Random(f"{target}/{seed}")
    for number in range(count):
        rows = dice.randrange(images)
        if number >= skipped:
            yield killed_and_resumed(toy, target, rows, dice)


def main() -> None:
    """Kill, resume, compare, count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", choices=TARGETS, action="append")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    rows = [json.loads(line) for line in given.output.read_text().splitlines()] if given.output.exists() else []
    with tempfile.TemporaryDirectory() as folder:
        toy = made_toy(Path(folder))
        for target in given.target or TARGETS:
            before = sum(row["target"] == target for row in rows)
            if before >= given.moments:
                continue
            with ray_cluster(toy.environment["PYTHONPATH"]) if target == "actor" else nullcontext():
                for row in moments(toy, target, given.moments, given.seed, before):
                    rows.append(row)
                    with given.output.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(row) + "\n")
                    print(row, flush=True)
    every, same = Counter(row["target"] for row in rows), Counter(row["target"] for row in rows if row["same"])
    hit = Counter(row["target"] for row in rows if row["hit"])
    for target, count in every.items():
        print(f"{target}: {count} moments, {hit[target]} met a process, rows equal in {same[target]}")
    sys.exit(0 if every == same else 1)


if __name__ == "__main__":
    main()
