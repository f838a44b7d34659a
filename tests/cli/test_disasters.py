"""What happens to an output while a run writes to it: it ends with exit code 1 and a reason, and can be continued."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.dataset
import pytest

from d2f.api.errors import Exit
from d2f.cli.main import main
from tests.cli.test_resume import HEARS_CTRL_C, SMALL_PARTS
from tests.cli.toy import Toy, toy
from tests.unprivileged import DROP, Unprivileged, unprivileged

__all__ = ["toy", "unprivileged"]

IMAGES = 80


def start(toy: Toy, *arguments: str, before: str = SMALL_PARTS, command: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """Start a slow run in a process of its own."""
    python, flag, code, *rest = toy.command(toy.slow(0.02), "photos", "--workers", "1", "-q", *arguments)
    pipe = subprocess.PIPE
    whole = [*(command or (python,)), flag, before + code, *rest]
    return subprocess.Popen(whole, cwd=toy.folder, env=toy.environment, stderr=pipe, text=True)


def after(what: Callable[[], bool], running: subprocess.Popen[str]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end
        assert running.poll() is None
        time.sleep(0.005)


@pytest.fixture
def many(toy: Toy) -> Toy:
    """A folder of pictures."""
    for number in range(IMAGES):
        toy.picture(f"photos/{number:03}.png", (number, number, number))
    (toy.folder / "out").mkdir()
    return toy


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.parquet"])
def test_the_output_is_gone(many: Toy, name: str) -> None:
    output = many.folder / "out" / name
    with start(many, "-o", f"out/{name}") as running:
        after(lambda: Path(f"{output}.run.json").exists(), running)
        os.rename(many.folder / "out", many.folder / "elsewhere")
        _, told = running.communicate(timeout=60)
    assert running.returncode == Exit.SOME_FAILED
    assert "error[D2F004]" in told
    assert "was removed" in told if name.endswith("jsonl") else "does not exist" in told


def test_permission_is_lost_and_given_again(unprivileged: Unprivileged) -> None:
    for number in range(IMAGES):
        unprivileged.picture(f"photos/{number:03}.png", (number, number, number))
    folder = unprivileged.folder / "rows.parquet"
    drop = (sys.executable, "-c", DROP) if os.geteuid() == 0 else (sys.executable,)
    with start(unprivileged, "-o", "rows.parquet", command=drop) as running:
        after(lambda: folder.exists() and any(folder.glob("part-*")), running)
        unprivileged.close("rows.parquet")
        _, told = running.communicate(timeout=60)
    assert running.returncode == Exit.SOME_FAILED, told
    assert "D2F004" in told
    assert "ermission denied" in told
    if os.geteuid() == 0:
        os.chown(folder, 0, 0)
    folder.chmod(0o755)
    assert main(["chain", "run", "slow.yaml", "photos", "-o", "rows.parquet", "--resume", "-q"]) == Exit.OK
    paths = pyarrow.dataset.dataset(folder).to_table(columns=["path"])["path"].to_pylist()
    assert paths == [f"photos/{number:03}.png" for number in range(IMAGES)]


def test_a_second_ctrl_c_ends_it_at_once_and_nothing_is_lost(many: Toy) -> None:
    output = many.folder / "rows.jsonl"
    many.slow(30.0, "stuck.yaml")
    python, flag, code, *_ = many.command()
    more = ["chain", "run", "stuck.yaml", "photos", "--workers", "1", "-o", "rows.jsonl"]
    command = [python, flag, HEARS_CTRL_C + code, *more]
    with subprocess.Popen(command, cwd=many.folder, env=many.environment, stderr=subprocess.PIPE, text=True) as running:
        after(lambda: Path(f"{output}.run.json").exists(), running)
        time.sleep(0.5)
        begun = time.monotonic()
        running.send_signal(signal.SIGINT)
        time.sleep(0.3)
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=20)
    # The second one may come when the interpreter is ending already.
    assert running.returncode in (Exit.INTERRUPTED, -signal.SIGINT)
    assert time.monotonic() - begun < 15
    assert output.read_bytes() == b""


def test_a_clock_that_jumps_changes_nothing(many: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["chain", "run", "toy.yaml", "photos", "-q", "-o"]
    assert main([*arguments, "alone.jsonl"]) == Exit.OK
    whole = Path("alone.jsonl").read_bytes()
    now, jumps = time.time, iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: now() + 86_400 * (-1) ** next(jumps))
    for jump in (-(10**6), 10**6):
        Path("rows.jsonl").write_bytes(whole[: len(whole) // 2])
        os.utime("rows.jsonl", (now() + jump, now() + jump))
        assert main([*arguments, "rows.jsonl", "--resume"]) == Exit.OK
        assert Path("rows.jsonl").read_bytes() == whole
