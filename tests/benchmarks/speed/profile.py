"""Where a network's time goes, by what `perf` finds the processor in; needs Linux's `perf`."""

from __future__ import annotations

import datetime
import re
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.benchmarks.speed.cases import Case
from tests.benchmarks.speed.engines import Engine
from tests.benchmarks.speed.machine import machine
from tests.benchmarks.speed.tables import table

Record = dict[str, Any]

SECONDS = 4.0
"""Of processor time that are looked at."""

KINDS = (
    ("products", r"openblas", r"(?!.*copy)"),
    ("packing for products", r"openblas", r".*copy"),
    ("copies and padding", r"libmlx", r".*(copy|gather|scatter|concat|pad|slice)"),
    ("copies and padding", r"libc\.", r".*(memset|memmove|memcpy)"),
    ("elementwise and sums", r"libmlx", r".*(binary|unary|ternary|[Rr]educ|select|[Ss]um|arange)"),
    ("memory from the system", r"kernel", r".*(page|fault|memcg|zero|clear|mm_|vma|rmqueue|folio|charge)"),
    ("memory from malloc", r"libc\.", r".*(malloc|free|alloc|unlink_chunk)"),
    ("Python", r"(libpython|python3|core\.cpython)", r""),
    ("waiting and switching", r"kernel", r""),
    ("MLX's graph and dispatch", r"(libmlx|libc\.|libstdc|ld-linux)", r""),
)
"""A kind of work, the library it happens in, the functions; the first that fits counts."""

ORDER = (*dict.fromkeys(kind for kind, *_ in KINDS), "other")

LINE = re.compile(r"^\s*([\d.]+)%\s+(\S+)\s+\[.\]\s+(.*?)\s*$")

NOTE = """`perf` asks 999 times a second where the processor is. Shares of processor time in d2f's process, one core
(`python -m tests.benchmarks.speed --profile -o docs/reference/speed.md`):
"""


def measure(case: Case) -> Record:
    """Return the shares of a case.

    Raises
    ------
    SystemExit
        There is no `perf`.
    """
    if shutil.which("perf") is None:
        raise SystemExit("there is no perf on this machine (Debian: apt install linux-perf)")
    asked = asdict(case)
    with Engine("d2f", 1) as engine, tempfile.TemporaryDirectory() as folder:
        once = engine.time(asked)["cpu"]
        target = Path(folder) / "perf.data"
        command = ["perf", "record", "-e", "cpu-clock", "-F", "999", "-p", str(engine.pid), "-o", str(target)]
        recording = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        engine.time(asked, max(1, round(SECONDS / once)))
        recording.send_signal(signal.SIGINT)
        recording.wait()
        shown = ["perf", "report", "-i", str(target), "--no-children", "--sort", "dso,symbol", "-g", "none"]
        text = subprocess.run(shown, capture_output=True, text=True, check=True).stdout
    date = datetime.date.today().isoformat()
    return {"case": asked, "cores": 1, "date": date, "machine": machine(), "shares": shares(text)}


def shares(text: str) -> dict[str, float]:
    """Return the share of each kind of work in what `perf report` printed, in per cent."""
    found: Counter[str] = Counter()
    for line in text.splitlines():
        if match := LINE.match(line):
            found[kind_of(match[2], match[3])] += float(match[1])
    whole = sum(found.values())
    return {kind: round(100 * found[kind] / whole, 1) for kind in ORDER if found[kind]}


def kind_of(library: str, function: str) -> str:
    """Return what kind of work a function of a library is."""
    fits = (kind for kind, where, what in KINDS if re.search(where, library) and re.match(what, function))
    return next(fits, "other")


def section(records: Sequence[Record]) -> str:
    """Return the table, Markdown."""
    mine = [record for record in records if "shares" in record]
    if not mine:
        return "Not profiled yet: `python -m tests.benchmarks.speed --profile`.\n"
    kinds = [kind for kind in ORDER if any(record["shares"].get(kind, 0) >= 0.5 for record in mine)]
    rows = [
        [record["case"]["name"], record["case"]["work"], str(record["case"]["batch"])]
        + [f"{record['shares'].get(kind, 0):.0f} %" for kind in kinds]
        for record in mine
    ]
    return f"{NOTE}\n{table(['', 'work', 'batch', *kinds], rows)}"
