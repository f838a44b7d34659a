"""Rates, memory, resuming and losses at scale: measured step by step, and the page that shows them.

    python -m tests.benchmarks.scale --only memory --results docs/research/scale.json -o docs/research/scale.md

The pictures are some of the training set (D2F_DATA). Each step is measured once and kept in the results; again, the
command goes on where it stopped (`--again` measures a step anew). A rate that was measured while other programs had the
cores says so. Steps: see `STEPS`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from d2f.output.opening import machine_facts
from tests.benchmarks.scale_page import page
from tests.cli.toy import MAIN
from tests.ray_cluster import ray_cluster

D2F = [sys.executable, "-c", MAIN]
# Those with a tower see each picture once: a second time its tokens are in memory.
IMAGES = {"fast": 400, "robust": 40, "deep": 40}
DISTINCT = 40
SIDE = 512
Result = dict[str, Any]


def pictures(count: int) -> list[Path]:
    """Return pictures of the training set, of both labels in turn."""
    train = Path(os.environ["D2F_DATA"]) / "train"
    found = [sorted(path for path in (train / label).rglob("*.jpg")) for label in ("real", "generated")]
    step = [max(1, len(paths) // count) for paths in found]
    return [
        path
        for pair in zip(*(paths[::each] for paths, each in zip(found, step, strict=True)), strict=False)
        for path in pair
    ][:count]


def fill(folder: Path, count: int, distinct: int = DISTINCT) -> Path:
    """Put so many names of a few JPEGs, 512 pixels a side, into a folder."""
    folder.mkdir()
    originals = pictures(distinct)
    for number in range(count):
        path = folder / f"{number // 1000:03}" / f"{number:06}.jpg"
        path.parent.mkdir(exist_ok=True)
        if number < distinct:
            with Image.open(originals[number]) as image:
                ImageOps.fit(image.convert("RGB"), (SIDE, SIDE)).save(path, quality=90)
        else:
            os.link(folder / "000" / f"{number % distinct:06}.jpg", path)
    return folder


def run(folder: Path, chain: str, *more: str) -> Result:
    """Run a chain over the folder's images; return what the run recorded, its processor time and its largest memory."""
    begun = time.monotonic()
    command = [*D2F, "chain", "run", chain, "images", "-o", "rows.jsonl", "-q", *more]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        _, status, usage = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
    assert running.returncode in (0, 1), running.returncode
    record = json.loads((folder / "rows.jsonl.run.json").read_text("utf-8"))["runs"][-1]
    stages = {name: one["seconds"] for name, one in record["stages"].items()}
    return {
        "images": record["counts"]["images"] - record["counts"]["earlier"],
        "verdicts": record["counts"]["verdicts"],
        "seconds": record["counts"]["seconds"],
        "whole_seconds": round(time.monotonic() - begun, 2),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "memory": usage.ru_maxrss * 1024,
        "decode_share": round(stages.get("decode", 0.0) / max(1e-9, sum(stages.values())), 3),
    }


def rate(chain: str, engine: str, workers: int) -> Result:
    """Images a second, of one engine with so many processes."""
    with tempfile.TemporaryDirectory() as place:
        fill(Path(place) / "images", IMAGES[chain])
        path = os.environ.get("PYTHONPATH", "")
        with ray_cluster(path) if engine == "ray" else nullcontext():
            return run(Path(place), chain, "--engine", engine, "--workers", str(workers))


def apart(chain: str, count: int = 300) -> Result:
    """Seconds of one process alone, of two commands at once that share nothing, and of one with two workers."""
    with tempfile.TemporaryDirectory() as place:
        first, second = Path(place) / "first", Path(place) / "second"
        first.mkdir()
        second.mkdir()
        fill(first / "images", count)
        (second / "images").symlink_to(first / "images")
        alone = run(first, chain, "--workers", "1", "--overwrite")
        with ThreadPoolExecutor(2) as pool:
            both = list(pool.map(lambda folder: run(folder, chain, "--workers", "1", "--overwrite"), (first, second)))
        workers = run(first, chain, "--workers", "2", "--overwrite")
    seconds = [alone["seconds"], max(one["seconds"] for one in both), workers["seconds"]]
    return {"images": count, **dict(zip(("alone", "both", "workers"), seconds, strict=True))}


def memory(chain: str, count: int) -> Result:
    """The largest memory of a run over so many images, in one process."""
    with tempfile.TemporaryDirectory() as place:
        fill(Path(place) / "images", count)
        return run(Path(place), chain, "--workers", "1")


def resume(count: int) -> Result:
    """What it costs to find that every one of so many images has its row."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        fill(folder / "images", count, 4)  # a file has 65,000 names at most
        row = next(iter(_rows_of_one(folder)))
        with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
            for path in sorted((folder / "images").rglob("*.jpg")):
                file.write(json.dumps({**row, "path": str(path.relative_to(folder))}, ensure_ascii=False) + "\n")
        found = run(folder, "fast", "--resume", "--workers", "1")
        return {**found, "rows": count, "bytes": (folder / "rows.jsonl").stat().st_size}


def _rows_of_one(folder: Path) -> Iterator[Result]:
    command = [*D2F, "chain", "run", "fast", "images/000/000000.jpg", "--format", "jsonl", "-q"]
    for line in subprocess.run(command, cwd=folder, capture_output=True, check=False, text=True).stdout.splitlines():
        yield json.loads(line)


def kills() -> Result:
    """Runs killed at 20 random moments for each kind of process."""
    with tempfile.TemporaryDirectory() as place:
        rows = Path(place) / "kills.jsonl"
        subprocess.run([sys.executable, "-m", "tests.benchmarks.kills", "-o", str(rows)], check=False)
        return killed(rows)


def killed(rows: Path) -> Result:
    """Count what `tests.benchmarks.kills` wrote."""
    found = [json.loads(line) for line in rows.read_text("utf-8").splitlines()]
    targets = dict.fromkeys(row["target"] for row in found)
    return {target: _killed([row for row in found if row["target"] == target]) for target in targets}


def _killed(rows: list[Result]) -> Result:
    return {"moments": len(rows), "met": sum(row["hit"] for row in rows), "equal": sum(row["same"] for row in rows)}


def store() -> Result:
    """10,000 images of an S3 server by Ray, one actor killed."""
    with tempfile.TemporaryDirectory() as place:
        output = Path(place) / "store.json"
        subprocess.run([sys.executable, "-m", "tests.benchmarks.store_by_ray", "-o", str(output)], check=False)
        return dict(json.loads(output.read_text("utf-8")))


STEPS: dict[str, Callable[[], Result]] = {
    **{f"memory {chain} {count}": partial(memory, chain, count) for chain in IMAGES for count in (100, 1000)},
    "memory fast 10000": partial(memory, "fast", 10_000),
    "resume 100000": partial(resume, 100_000),
    **{
        f"rate {chain} {engine} {workers}": partial(rate, chain, engine, workers)
        for chain in IMAGES
        for engine in ("local", "ray")
        for workers in (1, 2)
    },
    "apart fast": partial(apart, "fast"),
    "kills": kills,
    "store": store,
}


def others_have(seconds: float = 2.0) -> float:
    """Return how many cores programs other than this one have now; it waits so long and reads /proc/stat."""

    def used() -> int:
        user, nice, system, *_ = map(int, Path("/proc/stat").read_text("utf-8").split()[1:8])
        return user + nice + system

    before = used()
    time.sleep(seconds)
    return (used() - before) / os.sysconf("SC_CLK_TCK") / seconds


def main() -> None:
    """Measure what is wanted and missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", metavar="WORD", action="append", help="steps that begin so; 'nothing': the page alone"
    )
    parser.add_argument("--again", action="store_true", help="measure steps anew that have a result")
    parser.add_argument("--results", type=Path, default=Path("docs/research/scale.json"))
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/research/scale.md"))
    given = parser.parse_args()
    results = json.loads(given.results.read_text("utf-8")) if given.results.exists() else {}
    for name, step in STEPS.items():
        if given.only and not name.startswith(tuple(given.only)):
            continue
        if name in results and not given.again:
            continue
        busy = others_have() > 0.1
        found = step()
        when = datetime.now(UTC).date().isoformat()
        results[name] = {**found, "when": when, "busy": busy, "machine": machine_facts()}
        given.results.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
        print(name, found, flush=True)
    given.output.write_text(page(results), "utf-8")


if __name__ == "__main__":
    main()
