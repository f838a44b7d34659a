"""Many requests of good, broken and hostile files at a server, every row compared with the local engine's.

`python -m tests.benchmarks.serve_load --requests 10000` starts `d2f serve` on loopback, asks it from 32 threads, and
prints wrong answers, statuses, latencies, memory, and images a second beside those of `d2f chain run` over files with
the same bytes. On a machine that does other work, CPU seconds an image are the figure to read.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from d2f import Bounds, load_chain
from d2f.output.lines import json_line
from tests.cli.toy import MAIN
from tests.serve.test_api import PICTURES, bomb, encoded

D2F = [sys.executable, "-c", MAIN]
FILE_BYTES = 2**20
AT_ONCE = 32


def corpus(alone: int) -> dict[str, bytes]:
    """Return files by name: pictures, broken ones, files made to hurt; `alone 0.jpg` and so on are asked for once."""
    from d2f.testing.pictures import camera_picture, upsampled_picture

    files = dict(PICTURES)
    for seed in range(8):
        files[f"camera {seed}.jpg"] = encoded(camera_picture(512, 512, seed), "JPEG", quality=90)
        files[f"made {seed}.png"] = encoded(upsampled_picture(384, 512, seed))
    # A picture that comes again costs a chain with a tower nothing: its tokens are at hand.
    files |= {
        f"alone {seed}.jpg": encoded(camera_picture(512, 512, 100 + seed), "JPEG", quality=90) for seed in range(alone)
    }
    random_bytes = random.Random(0).randbytes
    whole = files["camera 0.jpg"]
    files |= {f"cut {part}.jpg": whole[: len(whole) * part // 5] for part in range(1, 5)}
    files |= {
        f"noise {head[:4]!r}": head + random_bytes(5000) for head in (b"\xff\xd8\xff\xe0", b"RIFF0000WEBP", b"GIF89a")
    }
    files |= {"bomb 2.png": bomb(2**30), "empty": b"", "big.bin": bytes(FILE_BYTES + 1), "page.svg": b"<svg/>" * 100}
    files["grey.png"] = encoded(np.full((64, 64), 90, np.uint8))
    return files


def local_rows(chain: str, files: dict[str, bytes]) -> dict[str, Any]:
    """Return the rows of the local engine, by name."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / str(number) for number in range(len(files))]
        for path, data in zip(paths, files.values(), strict=True):
            path.write_bytes(data)
        found = load_chain(chain).run(paths, workers=1, bounds=Bounds(FILE_BYTES, 64 * 2**20))
        rows = [json.loads(json_line(row)) for row in found]
    return {name: {**row, "path": "upload"} for name, row in zip(files, rows, strict=True)}


class Process:
    """A process and those that it has started, as /proc sees them."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def all(self) -> Iterator[int]:
        """Yield the numbers of all of them."""
        waiting = [self.pid]
        while waiting:
            pid = waiting.pop()
            yield pid
            for thread in Path(f"/proc/{pid}/task").glob("*/children"):
                waiting += map(int, thread.read_text().split())

    def memory(self) -> float:
        """Return their resident memory in MiB."""
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.all())
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def seconds(self) -> float:
        """Return the CPU seconds that they have used, with those of children that have ended."""
        ticks = 0
        for pid in self.all():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")


class Load:
    """Requests from several threads, each with a connection that it keeps."""

    def __init__(self, port: int, files: dict[str, bytes], rows: dict[str, Any]) -> None:
        self._port, self._files, self._rows = port, files, rows
        self._own = threading.local()
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []
        self.seconds: list[float] = []

    def ask(self, name: str) -> None:
        """Send one file and compare its row."""
        if not hasattr(self._own, "connection"):
            self._own.connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=300)
        begun = time.perf_counter()
        try:
            headers = {"content-type": "application/octet-stream"}
            self._own.connection.request("POST", "/v1/judge?name=upload", self._files[name], headers)
            answer = self._own.connection.getresponse()
            told = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._own.connection.close()
            self.wrong.append(f"{name}: {type(error).__name__}: {error}")
            return
        self.seconds.append(time.perf_counter() - begun)
        self.statuses[answer.status] += 1
        if told.get("rows", [None])[0] != self._rows[name]:
            self.wrong.append(f"{name}: {answer.status} {str(told)[:300]}")

    def run(self, names: list[str], at_once: int) -> float:
        """Send files; return the seconds that it took."""
        begun = time.perf_counter()
        with ThreadPoolExecutor(at_once) as threads:
            list(threads.map(self.ask, names))
        return time.perf_counter() - begun


def percentiles(seconds: list[float]) -> str:
    """Return the latencies in words."""
    found = np.percentile(seconds, (50, 95, 99)) * 1000
    return "p50 {:.0f} ms, p95 {:.0f} ms, p99 {:.0f} ms".format(*found)


def compare_rate(chain: str, files: dict[str, bytes], good: list[str], count: int, port: int, server: Process) -> None:
    """Print CPU and wall seconds an image of the server and of `d2f chain run`, over as many of the same pictures."""
    names = [good[number % len(good)] for number in range(count)]
    load = Load(port, files, local_rows(chain, {name: files[name] for name in good}))
    load.run(names[:AT_ONCE], AT_ONCE)
    before = server.seconds()
    wall = load.run(names, AT_ONCE)
    served = server.seconds() - before
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(names):
            (Path(folder) / f"{number}.jpg").write_bytes(files[name])
        begun = time.perf_counter()
        command = [*D2F, "chain", "run", chain, folder, "-o", f"{folder}/rows.jsonl", "-q"]
        process = subprocess.Popen(command)
        _, _, usage = os.wait4(process.pid, 0)
        run_wall, run = time.perf_counter() - begun, usage.ru_utime + usage.ru_stime
    print(f"server:    {count / wall:6.1f} images/s, {1000 * served / count:6.1f} ms of CPU an image")
    print(f"chain run: {count / run_wall:6.1f} images/s, {1000 * run / count:6.1f} ms of CPU an image (start included)")
    print(f"ratio of the rates {run_wall / wall:.2f}, of the CPU {run / served:.2f}")


def main() -> None:
    """Print what a server does under load."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.serve_load", description=__doc__)
    parser.add_argument("--chain", default="fast")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--rate", type=int, default=1000, help="pictures of the comparison with chain run; 0: none")
    parser.add_argument("--lone", type=int, default=50, help="requests sent one after the other first")
    given = parser.parse_args()
    files = corpus(given.lone)
    rows = local_rows(given.chain, files)
    good = [name for name, row in rows.items() if row["error"] is None]
    limits = ["--limit", f"file_bytes={FILE_BYTES}", "--limit", "queue=1000"]
    with subprocess.Popen(
        [*D2F, "serve", given.chain, "--port", "0", *limits], stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        port = int(run.stdout.readline().partition("127.0.0.1:")[2].partition("/")[0])
        server = Process(run.pid)
        try:
            measure(given, port, server, files, rows, good)
        finally:
            run.terminate()
    print(f"exit code of the server: {run.returncode}")


def measure(
    given: argparse.Namespace,
    port: int,
    server: Process,
    files: dict[str, bytes],
    rows: dict[str, Any],
    good: list[str],
) -> None:
    """Print the figures of one server."""
    lone = Load(port, files, rows)
    lone.run([name for name in good if name.startswith("camera ")][:5], 1)
    lone.seconds.clear()
    lone.run([name for name in files if name.startswith("alone ")], 1)
    print(f"a lone request of 512x512 pixels: {percentiles(lone.seconds)}")
    drawn = random.Random(1).choices([name for name in files if not name.startswith("alone ")], k=given.requests)
    load = Load(port, files, rows)
    seconds, memory = 0.0, [server.memory()]
    for part in range(10):
        seconds += load.run(drawn[part::10], AT_ONCE)
        memory.append(server.memory())
    print(f"{given.requests} requests at {AT_ONCE} at once: {len(load.wrong)} wrong, statuses {dict(load.statuses)}")
    for line in load.wrong[:5]:
        print(f"  {line}")
    print(f"{given.requests / seconds:.1f} requests/s, {percentiles(load.seconds)}")
    print(f"memory after each tenth: {', '.join(f'{one:.0f}' for one in memory)} MiB")
    if given.rate:
        compare_rate(
            given.chain, files, [name for name in good if name.startswith("camera ")], given.rate, port, server
        )


if __name__ == "__main__":
    main()
