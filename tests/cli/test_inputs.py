"""`d2f chain run` over what is no folder: archives, and names on standard input."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from d2f.api.errors import Exit
from d2f.cli.main import main
from tests.cli.toy import Toy, toy

__all__ = ["toy"]


def rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file, without their paths."""
    return [{**json.loads(line), "path": ""} for line in path.read_text("utf-8").splitlines()]


def test_an_archive_has_the_rows_of_its_folder_and_is_continued(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(12):
        toy.picture(f"photos/{number:02}.png", (20 * number,) * 3)
    with tarfile.open(toy.folder / "photos.tar", "w") as tar:
        tar.add(toy.folder / "photos", "photos", filter=lambda info: info)
    assert main(["chain", "run", "toy.yaml", "photos", "-o", "folder.jsonl"]) == Exit.OK
    assert main(["chain", "run", "toy.yaml", "photos.tar", "-o", "archive.jsonl"]) == Exit.OK
    whole = (toy.folder / "archive.jsonl").read_bytes()
    by_digest = sorted(rows(toy.folder / "folder.jsonl"), key=lambda row: str(row["sha256"]))
    assert sorted(rows(toy.folder / "archive.jsonl"), key=lambda row: str(row["sha256"])) == by_digest

    (toy.folder / "archive.jsonl").write_bytes(whole[: len(whole) // 2])
    assert main(["chain", "run", "toy.yaml", "photos.tar", "-o", "archive.jsonl", "--resume"]) == Exit.OK
    assert (toy.folder / "archive.jsonl").read_bytes() == whole


def test_names_on_standard_input_may_hold_any_byte(toy: Toy) -> None:
    names = ["two\nlines.png", os.fsdecode(b"not-utf-\xe9.png"), " blank .png"]
    for name in names:
        toy.picture(name)
    listed = b"\0".join(map(os.fsencode, names)) + b"\0"
    command = toy.command("toy.yaml", "-", "-0", "--format", "jsonl", "--quiet")
    done = subprocess.run(
        command, input=listed, cwd=toy.folder, env=toy.environment, capture_output=True, check=True, timeout=60
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["path"].replace("\ufffd", "?") for row in found] == ["two\nlines.png", "not-utf-?.png", " blank .png"]
    assert {row["verdict"] for row in found} == {"generated"}
