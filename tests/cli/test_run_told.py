"""What a run tells beside its rows: the record, JSON lines and counters; on a terminal colour, a table and a bar."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pytest

from d2f import progress
from d2f.api.errors import Exit
from d2f.cli.main import main
from d2f.images.files import find_images
from tests.cli.toy import COLOURS, Toy, toy
from tests.stores import s3_server

__all__ = ["toy"]


def run(*arguments: str) -> int:
    """Run the toy chain over the photos."""
    return main(["chain", "run", "toy.yaml", "photos", *arguments])


def rows(path: str) -> list[dict[str, Any]]:
    """Return the rows of a file."""
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


@pytest.fixture
def photos(toy: Toy) -> Toy:
    """A photo of each colour, twice, and a file that is none."""
    for colour in COLOURS:
        toy.picture(f"photos/{colour}.png", colour)
        toy.picture(f"photos/again/{colour}.png", colour)
    (toy.folder / "photos/none.png").write_bytes(b"nothing")
    return toy


def test_each_run_is_recorded_beside_its_rows(photos: Toy) -> None:
    assert run("-o", "rows.jsonl", "-q") == Exit.SOME_FAILED
    (first,) = json.loads(Path("rows.jsonl.run.json").read_text("utf-8"))["runs"]
    row = rows("rows.jsonl")[0]
    assert (first["how"], first["chain_digest"], first["plugins"]) == ("complete", row["chain_digest"], row["plugins"])
    assert first["counts"]["codes"] == {"D2F303": 1, "D2F401": 2}
    assert first["counts"]["images"] == 11
    assert first["stages"]["decode"]["images"] == 11
    assert {"system", "cores", "memory", "python"} <= set(first["machine"])
    os.remove("rows.jsonl")
    assert run("-o", "rows.jsonl", "-q") == Exit.USAGE  # the record of another run is not written over
    assert run("-o", "rows.jsonl", "-q", "--resume") == Exit.SOME_FAILED
    assert len(json.loads(Path("rows.jsonl.run.json").read_text("utf-8"))["runs"]) == 2
    assert run("-o", "rows.jsonl", "-q", "--overwrite") == Exit.SOME_FAILED
    assert len(json.loads(Path("rows.jsonl.run.json").read_text("utf-8"))["runs"]) == 1


def test_equal_files_are_scored_once(photos: Toy) -> None:
    assert run("-o", "each.jsonl", "-q") == Exit.SOME_FAILED
    assert run("-o", "once.jsonl", "-q", "--once") == Exit.SOME_FAILED
    each, once = rows("each.jsonl"), rows("once.jsonl")
    copied = [number for number, row in enumerate(once) if row["notes"] and row["notes"][-1]["code"] == "duplicate"]
    assert len(copied) == 5
    for number in copied:
        once[number]["notes"].pop()
    assert once == each
    stages = json.loads(Path("once.jsonl.run.json").read_text("utf-8"))["runs"][0]["stages"]
    assert stages["detector light/plain"]["images"] == 5

    # Continued, what an earlier run has scored is known.
    lines = Path("once.jsonl").read_bytes().splitlines(keepends=True)
    Path("once.jsonl").write_bytes(b"".join(lines[:5]))
    assert run("-o", "once.jsonl", "-q", "--once", "--resume") == Exit.SOME_FAILED
    assert Path("once.jsonl").read_bytes() == b"".join(lines)


def test_a_log_of_json_lines(photos: Toy, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("-o", "rows.jsonl", "--log-format", "json") == Exit.SOME_FAILED
    assert run("-o", "rows.jsonl", "--log-format", "json") == Exit.USAGE
    out, err = capfd.readouterr()
    end, problem = (json.loads(line) for line in err.splitlines())
    assert (out, end["event"], end["how"], end["exit"], end["images"], end["failed"]) == (
        "",
        "end",
        "complete",
        1,
        11,
        1,
    )
    assert (problem["event"], problem["severity"], problem["code"]) == ("problem", "error", "D2F004")


def test_a_signal_has_the_counters_told(toy: Toy) -> None:
    for number in range(40):
        toy.picture(f"photos/{number:02}.png", (number, number, number))
    command = toy.command(toy.slow(0.05), "photos", "-o", "rows.jsonl", "--workers", "1", "-q")
    with subprocess.Popen(command, cwd=toy.folder, env=toy.environment, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        end = time.monotonic() + 60
        while not (Path("rows.jsonl").exists() and Path("rows.jsonl").stat().st_size) and time.monotonic() < end:
            time.sleep(0.01)
        running.send_signal(signal.SIGUSR1)
        told = running.stderr.readline()
        assert running.wait(60) == Exit.OK
    assert "images, 0 earlier, 0 generated," in told
    assert told.endswith(" a second\n")


@pytest.fixture(scope="module")
def store() -> Iterator[None]:
    """A bucket."""
    with s3_server():
        yield


def test_parts_and_record_in_a_store(photos: Toy, store: None) -> None:
    from pyarrow.fs import FileSystem

    url = "s3://photos/out/rows.parquet"
    assert run("-o", "each.jsonl", "-q") == Exit.SOME_FAILED
    assert run("-o", url, "-q") == Exit.SOME_FAILED
    system, place = FileSystem.from_uri(url)
    table = pyarrow.dataset.dataset(place, filesystem=system).to_table()
    assert table["sha256"].to_pylist() == [row["sha256"] for row in rows("each.jsonl")]
    assert run("-o", url, "-q") == Exit.USAGE
    photos.picture("photos/new.png", "white")
    assert run("-o", url, "-q", "--resume") == Exit.SOME_FAILED
    assert pyarrow.dataset.dataset(place, filesystem=system).to_table().num_rows == 12
    with system.open_input_stream(f"{place}.run.json") as file:
        assert [one["how"] for one in json.loads(file.read())["runs"]] == ["complete", "complete"]
    assert run("-o", "s3://photos/out/rows.jsonl") == Exit.USAGE


class Terminal:
    """A terminal of 100 columns, and all that was ever written on it."""

    def __init__(self) -> None:
        self._ours, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self._seen = b""
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def text(self) -> str:
        """Hang up and return what was written."""
        os.close(self.theirs)
        self._reading.join(30)
        os.close(self._ours)
        return self._seen.decode()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._ours, 65536)
            except OSError:
                return
            if not data:
                return
            self._seen += data


def watch(toy: Toy, *arguments: str, screen: str, **environment: str) -> tuple[str, str, str]:
    """Run with ``out``, ``err`` or both on a terminal; return its text and what went elsewhere."""
    terminal = Terminal()
    streams = {name: terminal.theirs if name in screen else subprocess.PIPE for name in ("stdout", "stderr")}
    env = {name: value for name, value in toy.environment.items() if name not in {"COLUMNS", "NO_COLOR"}}
    with subprocess.Popen(
        toy.command(*arguments),
        cwd=toy.folder,
        env={**env, "TERM": "xterm", **environment},
        stdin=subprocess.DEVNULL,
        text=True,
        **streams,  # type: ignore[call-overload]
    ) as running:
        out, err = running.communicate(timeout=60)
    assert running.returncode == 0
    return terminal.text(), out or "", err or ""


@pytest.fixture
def slow(toy: Toy) -> Toy:
    """Thirty pictures, and a chain that takes a second over them."""
    for number in range(30):
        toy.picture(f"photos/{number:02}.png", "white")
    toy.slow(0.03)
    return toy


def test_a_table_and_a_bar_share_the_terminal(slow: Toy) -> None:
    seen, _, _ = watch(slow, "slow.yaml", "photos", screen="stdout stderr")
    assert "\x1b[31mAI-generated           0.8718\x1b[0m" in seen
    assert re.search(r"\d+ of 30 images", seen)
    assert re.search(r"\d+\.\d a second", seen)
    assert len(re.findall(r"photos/\d\d\.png +AI-generated", seen.replace("\x1b[31m", ""))) == 30
    assert "30 images: 30 AI-generated, 0 no sign of generation, 0 inconclusive, 0 failed" in seen
    assert seen.rindex("of 30 images") < seen.rindex("30 images: 30 AI-generated")


def test_rows_in_a_pipe_with_a_bar_on_the_terminal(slow: Toy) -> None:
    seen, out, _ = watch(slow, "slow.yaml", "photos", "--format", "csv", screen="stderr")
    assert len(out.splitlines()) == 31
    assert "\x1b" not in out
    assert "of 30 images" in seen
    assert "30 images: 30 AI-generated" in seen


def test_a_table_on_the_terminal_leaves_stderr_clean(slow: Toy) -> None:
    seen, _, err = watch(slow, "slow.yaml", "photos", screen="stdout")
    assert "of 30 images" not in seen
    assert "\x1b" not in err
    assert err.startswith("30 images: 30 AI-generated")


@pytest.mark.parametrize("option", ["--quiet", "--no-progress"])
def test_no_bar_where_none_is_wanted(slow: Toy, option: str) -> None:
    seen, _, _ = watch(slow, "slow.yaml", "photos", option, "-o", "rows.csv", screen="stderr")
    assert seen == ""


def test_no_colour_where_none_is_wanted(slow: Toy) -> None:
    seen, _, _ = watch(slow, "slow.yaml", "photos/00.png", "-q", screen="stdout stderr", NO_COLOR="1")
    assert "\x1b[3" not in seen
    assert "AI-generated           0.8718" in seen


def test_lines_in_a_log_where_they_are_wanted(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    for number in range(3):
        toy.picture(f"photos/{number}.png")
    assert main(["chain", "run", "toy.yaml", "photos", "-o", "rows.csv", "-q", "--progress"]) == 0
    lines = capfd.readouterr().err.splitlines()
    assert [re.sub(r"\d+\.\d a", "R a", line.replace(" of 3", "")) for line in lines] == [
        f"{number} images, R a second" for number in (1, 2, 3)
    ]


def test_nothing_is_counted_on_standard_input(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    toy.picture("photos/a.png")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"photos/a.png\n")))
    assert main(["chain", "run", "toy.yaml", "-", "-o", "rows.csv", "-q", "--progress"]) == 0
    assert capfd.readouterr().err.startswith("1 images, ")


def test_a_count_that_cannot_be_made_is_no_error(toy: Toy) -> None:
    counted: list[int] = []
    toy.picture("photos/a.png")
    for paths in (["photos", "photos/a.png"], ["missing"]):
        counting = progress.BackgroundCount(lambda paths=paths: find_images(paths), counted.append)
        counting.start()
        counting.join(10)
    assert counted == [1]
