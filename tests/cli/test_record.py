"""What a run leaves beside its rows and tells while it goes on: the record, JSON lines, counters on a signal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pytest

from d2f.api.errors import Exit
from d2f.cli.main import main
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
