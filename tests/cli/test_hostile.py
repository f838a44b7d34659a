"""Files made to break a reader: each has a row with a code, memory stays bounded, nothing hangs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from d2f.api.errors import Exit
from tests.cli.toy import CHAIN, Toy, toy
from tests.hostile import write_corpus

__all__ = ["toy"]

COUNT = 1000
MANY = 20_000
MEMORY = 600 * 2**20
"""Bytes that the process may hold: the interpreter, what may be decoded ahead, and the largest image of the bounds."""

STARTER = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[2:], stdout=subprocess.DEVNULL, timeout=float(sys.argv[1])).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""

BOUNDS = ("--max-pixels", "16Mi", "--max-bytes", "64Mi")
CODES = {"", "D2F301", "D2F302", "D2F303", "D2F304", "D2F305", "D2F306"}


def run(toy: Toy, count: int, seed: int, chain: str) -> Counter[str]:
    """Judge a corpus; return the codes of its rows."""
    due = write_corpus(toy.folder / "files", count, seed)
    command = toy.command(chain, "files", "--all-files", "-o", "rows.jsonl", "--workers", "1", "--quiet", *BOUNDS)
    # Started by a small process: a child's record of memory begins with that of the process that started it.
    command = [sys.executable, "-c", STARTER, str(0.1 * count + 120), *command]
    begun = time.monotonic()
    with (toy.folder / "errors.txt").open("wb") as errors:
        done = subprocess.run(command, cwd=toy.folder, env=toy.environment, stdout=subprocess.PIPE, stderr=errors)
    assert done.returncode == Exit.SOME_FAILED, (toy.folder / "errors.txt").read_text("utf-8")[-3000:]
    rows = [json.loads(line) for line in (toy.folder / "rows.jsonl").read_text("utf-8").splitlines()]
    assert len(rows) == due
    assert len({(row["path"], row["path_bytes"]) for row in rows}) == due
    memory = int(done.stdout) * (1 if sys.platform == "darwin" else 1024)
    assert memory < MEMORY, f"{memory / 2**20:.0f} MiB"
    codes = Counter(row["error"]["code"] if row["error"] else "" for row in rows)
    assert set(codes) <= CODES
    assert [row["path"] for row in rows if not row["error"] and row["verdict"] is None] == []
    found = ", ".join(f"{code or 'judged'} {number}" for code, number in sorted(codes.items()))
    print(f"{due} hostile files: {found}; {memory / 2**20:.0f} MiB, {time.monotonic() - begun:.0f} s")
    return codes


def test_a_thousand_mutants_and_strange_files_have_a_row_each(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    codes = run(toy, COUNT, 1, "toy.yaml")
    assert codes["D2F304"] > COUNT // 4
    assert codes[""] > COUNT // 10
    with capsys.disabled():
        print("\n" + capsys.readouterr().out, end="")


@pytest.mark.slow
@pytest.mark.skipif("D2F_HOSTILE" not in os.environ, reason=f"{MANY} mutants take minutes: set D2F_HOSTILE to a seed")
def test_many_mutants_through_evidence_readers_and_preconditions(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    also = "evidence: [{use: provenance}]\nrequire: [{use: degraded}, {use: colour}]\n"
    Path("wide.yaml").write_text(CHAIN.replace("SECONDS", "0.0") + also, "utf-8")
    run(toy, MANY, int(os.environ["D2F_HOSTILE"]), "wide.yaml")
    with capsys.disabled():
        print("\n" + capsys.readouterr().out, end="")
