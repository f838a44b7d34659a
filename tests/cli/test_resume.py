"""Runs killed at any moment, and outputs lost, full or taken away while a run writes: what is left can be continued."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pytest

from d2f.api.errors import Exit
from d2f.cli.main import main
from d2f.output import parquet as parquet_parts
from tests.benchmarks.kills import made_toy, moments
from tests.cli.toy import Toy, toy
from tests.unprivileged import DROP, Unprivileged, unprivileged

__all__ = ["toy", "unprivileged"]

# A run killed at any moment, and continued, ends with the rows of a run that was left alone.

IMAGES = 120
SECONDS = 0.004
PART_ROWS = 25
HEARS_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
"""What a shell starts in the background ignores it, and so do its children."""
SMALL_PARTS = f"{HEARS_CTRL_C}import d2f.output.parquet as parts; parts.PART_ROWS = {PART_ROWS}; "
IGNORE_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "

Running = subprocess.Popen[str]
Rows = list[Any]


@pytest.fixture
def many(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """A folder of pictures, and a chain that takes its time over each."""
    monkeypatch.setattr(parquet_parts, "PART_ROWS", PART_ROWS)
    for number in range(IMAGES):
        word = "été" if number % 3 else "two\nlines"
        toy.picture(f"photos/{word} {number:03}.png", (number, number, number))
    toy.slow(SECONDS)
    return toy


def start(toy: Toy, *arguments: str, before: str = SMALL_PARTS) -> Running:
    """Start a run in a process of its own."""
    python, flag, code, *rest = toy.command("slow.yaml", "photos", "--workers", "1", *arguments)
    command = [python, flag, before + code, *rest]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=toy.folder, env=toy.environment, stdout=pipe, stderr=pipe, text=True)


def size(output: Path) -> int:
    """How much is written: bytes of a file, parts of a folder; -1 where there is nothing."""
    if output.is_dir():
        return len(list(output.glob("part-*")))
    return output.stat().st_size if output.exists() else -1


def wait(until: Callable[[], bool], running: Running) -> None:
    end = time.monotonic() + 60
    while not until():
        assert time.monotonic() < end
        assert running.poll() is None, running.communicate()
        time.sleep(0.002)


def kill_after(toy: Toy, growth: int, output: Path, *arguments: str) -> None:
    """Start a run, wait until its output has grown by so much, and kill it."""
    enough = max(size(output), 0) + growth
    with start(toy, "-o", output.name, *arguments) as running:
        wait(lambda: size(output) >= enough, running)
        running.kill()
        running.communicate()
    assert running.returncode == -signal.SIGKILL


def rows(output: Path) -> Rows:
    if output.is_dir():
        return pyarrow.dataset.dataset(output).to_table().to_pylist()
    return output.read_bytes().splitlines(keepends=True)


def left_alone(toy: Toy, file: str) -> Rows:
    """The rows of a run that nothing happened to."""
    assert main(["chain", "run", "slow.yaml", "photos", "-q", "-o", f"whole-{file}"]) == Exit.OK
    return rows(toy.folder / f"whole-{file}")


@pytest.mark.parametrize(
    ("file", "growths"), [("rows.jsonl", (0, 1, 20_000)), ("rows.csv", (1, 15_000)), ("rows.parquet", (1, 2))]
)
def test_killed_again_and_again(
    many: Toy, file: str, growths: Sequence[int], capfd: pytest.CaptureFixture[str]
) -> None:
    output = many.folder / file
    for growth in growths:
        kill_after(many, growth, output, "--resume")
    assert main(["chain", "run", "slow.yaml", "photos", "-o", file, "--resume"]) == Exit.OK
    assert f"{IMAGES} images: " in (summary := capfd.readouterr().out)
    assert " from an earlier run\n" in summary
    assert rows(output) == left_alone(many, file)


def test_continued_in_another_order(many: Toy, capfd: pytest.CaptureFixture[str]) -> None:
    output = many.folder / "rows.jsonl"
    kill_after(many, 20_000, output)
    kept = output.read_bytes().count(b"\n")
    backwards = [f"photos/{name}" for name in sorted(os.listdir("photos"), reverse=True)]
    assert main(["chain", "run", "slow.yaml", *backwards, "-o", "rows.jsonl", "--resume"]) == Exit.OK
    summary = capfd.readouterr().out
    assert f"\n{IMAGES - kept} in " in summary
    assert f"; {kept} from an earlier run\n" in summary
    assert sorted(rows(output)) == sorted(left_alone(many, "rows.jsonl"))


@pytest.mark.parametrize(
    ("file", "number", "code"),
    [
        ("rows.jsonl", signal.SIGINT, Exit.INTERRUPTED),
        ("rows.csv", signal.SIGTERM, Exit.TERMINATED),
        ("rows.parquet", signal.SIGINT, Exit.INTERRUPTED),
    ],
)
def test_interrupted_it_says_how_to_go_on(many: Toy, file: str, number: signal.Signals, code: int) -> None:
    many.slow(3 * SECONDS)  # time enough to be interrupted in, on a busy machine too
    output = many.folder / file
    with start(many, "-o", file) as running:
        wait(lambda: size(output) > 0, running)
        running.send_signal(number)
        out, err = running.communicate(timeout=60)
    assert running.returncode == code
    assert err == f"interrupted; to continue: d2f chain run slow.yaml photos --workers 1 -o {file} --resume\n"
    written, whole = rows(output), left_alone(many, file)
    assert 0 < len(written) < len(whole)
    assert written == whole[: len(written)]
    assert " AI-generated, " in out
    d2f, *arguments = shlex.split(err.partition("to continue: ")[2])
    assert (d2f, main(arguments)) == ("d2f", Exit.OK)
    assert rows(output) == whole


def test_interrupted_without_a_file(many: Toy) -> None:
    with start(many, "--quiet") as running:
        assert running.stdout is not None
        running.stdout.readline()
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
    assert running.returncode == Exit.INTERRUPTED
    assert err == "interrupted; a run with -o FILE can be continued later, with --resume\n"


def test_what_is_told_to_ignore_ctrl_c_ignores_it(many: Toy) -> None:
    output = many.folder / "rows.jsonl"
    with start(many, "-o", "rows.jsonl", before=IGNORE_CTRL_C) as running:
        wait(lambda: size(output) > 0, running)
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)
    assert running.returncode == Exit.OK
    assert len(rows(output)) == IMAGES


def test_a_row_stands_for_a_path_and_a_content(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that was replaced since its row gets another row; the old one keeps its digest."""
    toy.picture("photos/a.png", (255, 255, 255))
    toy.picture("photos/b.png", (0, 0, 0))
    arguments = ["chain", "run", "toy.yaml", "photos", "-o", "rows.jsonl"]
    assert main(arguments) == 0
    capsys.readouterr()
    assert main([*arguments, "--resume"]) == 0
    assert "changed since" not in capsys.readouterr().out
    os.utime("photos/b.png")  # touched, with the same bytes
    toy.picture("photos/a.png", (0, 0, 0))
    before = Path("rows.jsonl").read_bytes()
    assert main([*arguments, "--resume", "--summary", "sum.json"]) == 0
    assert "1 file has changed since the row was written" in capsys.readouterr().out
    added = Path("rows.jsonl").read_bytes().removeprefix(before).splitlines()
    assert [(row["path"], row["verdict"]) for row in map(json.loads, added)] == [("photos/a.png", "real")]
    assert '"changed": 1' in Path("sum.json").read_text("utf-8")
    assert main([*arguments, "--resume"]) == 0
    assert Path("rows.jsonl").read_bytes() == before + added[0] + b"\n"


# What happens to an output while a run writes to it: it ends with exit code 1 and a reason, and can be continued.

PHOTOS = 80


def start_writing(toy: Toy, *arguments: str, before: str = SMALL_PARTS, command: tuple[str, ...] = ()) -> Running:
    """Start a slow run in a process of its own."""
    python, flag, code, *rest = toy.command(toy.slow(0.02), "photos", "--workers", "1", "-q", *arguments)
    pipe = subprocess.PIPE
    whole = [*(command or (python,)), flag, before + code, *rest]
    return subprocess.Popen(whole, cwd=toy.folder, env=toy.environment, stderr=pipe, text=True)


@pytest.fixture
def photos(toy: Toy) -> Toy:
    """A folder of pictures."""
    for number in range(PHOTOS):
        toy.picture(f"photos/{number:03}.png", (number, number, number))
    (toy.folder / "out").mkdir()
    return toy


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.parquet"])
def test_the_output_is_gone(photos: Toy, name: str) -> None:
    output = photos.folder / "out" / name
    with start_writing(photos, "-o", f"out/{name}") as running:
        wait(lambda: Path(f"{output}.run.json").exists(), running)
        os.rename(photos.folder / "out", photos.folder / "elsewhere")
        _, told = running.communicate(timeout=60)
    assert running.returncode == Exit.SOME_FAILED
    assert "error[D2F004]" in told
    assert "was removed" in told if name.endswith("jsonl") else "does not exist" in told


def test_permission_is_lost_and_given_again(unprivileged: Unprivileged) -> None:
    for number in range(PHOTOS):
        unprivileged.picture(f"photos/{number:03}.png", (number, number, number))
    folder = unprivileged.folder / "rows.parquet"
    drop = (sys.executable, "-c", DROP) if os.geteuid() == 0 else (sys.executable,)
    with start_writing(unprivileged, "-o", "rows.parquet", command=drop) as running:
        wait(lambda: folder.exists() and any(folder.glob("part-*")), running)
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
    assert paths == [f"photos/{number:03}.png" for number in range(PHOTOS)]


def test_a_second_ctrl_c_ends_it_at_once_and_nothing_is_lost(photos: Toy) -> None:
    output = photos.folder / "rows.jsonl"
    photos.slow(30.0, "stuck.yaml")
    python, flag, code, *_ = photos.command()
    more = ["chain", "run", "stuck.yaml", "photos", "--workers", "1", "-o", "rows.jsonl"]
    command = [python, flag, HEARS_CTRL_C + code, *more]
    with subprocess.Popen(
        command, cwd=photos.folder, env=photos.environment, stderr=subprocess.PIPE, text=True
    ) as running:
        wait(lambda: Path(f"{output}.run.json").exists(), running)
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


def test_a_clock_that_jumps_changes_nothing(photos: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
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


# The short form of `tests.benchmarks.kills`.


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
def test_a_worker_killed_at_a_random_moment_costs_no_row(tmp_path: Path) -> None:
    toy = made_toy(tmp_path, images=60)
    (found,) = moments(toy, "worker", 1, seed=7)
    assert found["same"]
    assert (found["hit"], found["runs"]) == (True, 1)
