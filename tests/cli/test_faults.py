"""Faulty and forbidden files: each has a row or an error with a code, and nothing forbidden is called absent."""

from __future__ import annotations

import io
import json
import os
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from d2f.api.errors import Exit
from d2f.cli.main import main
from tests.cli.toy import Toy, toy
from tests.unprivileged import Unprivileged, unprivileged

__all__ = ["toy", "unprivileged"]


def encoded(format: str, **how: object) -> bytes:
    """Return a seeded picture of 160 by 120 pixels in a format."""
    pixels = np.random.default_rng(3).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format, **how)  # type: ignore[arg-type]
    return stream.getvalue()


JPEG, PNG = encoded("JPEG", quality=90), encoded("PNG")
IMAGES: dict[bytes, tuple[bytes, str | None]] = {
    b"a.jpg": (JPEG, None),
    b"a.png": (PNG, None),
    b"noending": (PNG, None),
    b"copy.png.bak": (PNG, None),
    b"scan.jp2": (PNG, None),
    b"UPPER.JPG": (JPEG, None),
    b"wrong-ending.png": (JPEG, None),
    b"latin\xe9.png": (PNG, None),
    b"two\nlines.png": (PNG, None),
    b"empty.jpg": (b"", "D2F302"),
    b"page.jpg": (b"<!DOCTYPE html><html></html>", "D2F303"),
    b"archive.png": (b"PK\x03\x04" + bytes(30), "D2F303"),
    b"cut.png": (PNG[: len(PNG) // 2], "D2F304"),
    b"cut.jpg": (JPEG[: len(JPEG) // 2], "D2F304"),
    b"zeros.jpg": (JPEG[: len(JPEG) // 2] + bytes(len(JPEG) // 2 - 2) + b"\xff\xd9", "D2F304"),
}
OTHERS = {
    "cam.CR2": b"II*\0\x10\0\0\0CR",
    "picture.jxl": b"\xff\x0a" + bytes(20),
    "film.mp4": bytes(4) + b"ftypisom" + bytes(20),
    "notes.txt": b"bring milk",
    "export.csv": b"date,sum\n1,2\n",
    "words": b"no picture",
    ".hidden.jpg": JPEG,
}
PASSED_OVER = {
    ".cr2": 1,
    ".jxl": 1,
    ".mp4": 1,
    ".txt": 1,
    ".csv": 1,
    "without ending": 1,
    "hidden": 1,
    "that cannot be read": 1,
}


@pytest.fixture
def faults(unprivileged: Unprivileged) -> Unprivileged:
    """The folder ``all``: sound images, damaged ones, other files, links in circles, and what may not be read."""
    place = unprivileged.folder / "all"
    place.mkdir()
    for name, (data, _) in IMAGES.items():
        (place / os.fsdecode(name)).write_bytes(data)
    for other, data in OTHERS.items():
        (place / other).write_bytes(data)
    (place / "sub").mkdir()
    (place / "sub" / "b.png").write_bytes(PNG)
    (place / "sub" / "up").symlink_to(place)
    (place / "web").symlink_to(place / "sub")
    (place / "gone.png").symlink_to("nowhere.png")
    (place / "secret.png").write_bytes(PNG)
    (place / "secret").write_bytes(PNG)
    (place / "closed").mkdir()
    (place / "closed" / "c.png").write_bytes(PNG)
    for name in ("secret.png", "secret", "closed"):
        unprivileged.close(f"all/{name}")
    return unprivileged


def expected() -> dict[bytes, str | None]:
    rows = {b"all/" + name: code for name, (_, code) in IMAGES.items()}
    unread = dict.fromkeys((b"all/gone.png", b"all/secret.png", b"all/closed"), "D2F301")
    return {**rows, **unread, b"all/sub/b.png": None}


def test_every_image_has_one_row_and_every_skipped_kind_one_count(faults: Unprivileged) -> None:
    command = ("chain", "run", "toy.yaml", "all", "all/a.jpg", "all/*.png", "all/notes.txt")
    done = faults.run(*command, "--format", "jsonl", "--summary", "summary.json", "-q")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    found = [
        (
            b64decode(row["path_bytes"]) if row["path_bytes"] else row["path"].encode(),
            row["error"] and row["error"]["code"],
        )
        for row in rows
    ]
    assert sorted(found) == sorted([*expected().items(), (b"all/notes.txt", "D2F303")])
    assert done.returncode == Exit.SOME_FAILED
    summary = json.loads((faults.folder / "summary.json").read_text("utf-8"))
    assert summary["passed_over"] == PASSED_OVER
    assert summary["repeated"] == 1 + sum(name.endswith(b".png") for name in [*IMAGES, b"gone.png", b"secret.png"])
    assert summary["images"] == len(rows)
    assert sum(reason["count"] for reason in summary["failed images"]) == summary["verdicts"]["failed"] == 10
    # -q leaves out decoration and no caveat.
    assert (
        "'all/notes.txt' is taken as a file, not as a list of images: its first 20 lines name no file\n" in done.stderr
    )
    assert (
        "8 files passed over: 1 .cr2, 1 .csv, 1 .jxl, 1 .mp4, 1 .txt, 1 hidden, 1 that cannot be read, " in done.stderr
    )
    assert "images were named twice and taken once\n" in done.stderr
    assert "a second" not in done.stderr


def test_all_files_have_rows_where_that_is_asked(faults: Unprivileged) -> None:
    done = faults.run("chain", "run", "toy.yaml", "all", "--all-files", "--format", "jsonl")
    names = {Path(json.loads(line)["path"]).name for line in done.stdout.splitlines()}
    assert {"cam.CR2", "picture.jxl", "film.mp4", "notes.txt", "export.csv", "words", "secret"} < names
    assert "1 file passed over: 1 hidden\n" in done.stderr


def test_resuming_finds_every_row_again(faults: Unprivileged) -> None:
    for file in ("rows.jsonl", "rows.csv", "rows.parquet"):
        first = faults.run("chain", "run", "toy.yaml", "all", "-o", file)
        assert first.returncode == Exit.SOME_FAILED
        again = faults.run("chain", "run", "toy.yaml", "./all", "-o", file, "--resume")
        assert f"none was left to do; {len(expected())} from an earlier run\n" in again.stdout


def test_an_image_alone_that_cannot_be_read_has_no_speed(toy: Toy, capfd: pytest.CaptureFixture[str]) -> None:
    Path("empty.jpg").touch()
    assert main(["chain", "run", "toy.yaml", "empty.jpg"]) == Exit.SOME_FAILED
    assert "second" not in capfd.readouterr().err


def test_python_is_warned_of_what_is_passed_over(toy: Toy) -> None:
    import d2f

    toy.picture("photos/a.png")
    Path("photos/cam.NEF").write_bytes(b"MM\0*")
    Path("photos/.hidden").touch()
    with pytest.warns(UserWarning, match="^1 file passed over: 1 .nef$"):
        assert len(list(d2f.load_chain("toy.yaml").run("photos"))) == 1


# What may not be read is not called absent, and what may not be written has an error with a code.


@pytest.fixture
def perm(unprivileged: Unprivileged) -> Unprivileged:
    """A folder that is closed beside one that is open, a closed file in that one, and a labelled set."""
    for name in ("perm/open/a.png", "perm/closed/x.png", "perm/closed/set/real/a.png", "set/real/a.png"):
        unprivileged.picture(name)
    unprivileged.picture("set/generated/b.png", "black")
    closed = unprivileged.folder / "perm" / "closed"
    (closed / "chain.yaml").write_text((unprivileged.folder / "toy.yaml").read_text())
    (closed / "list.csv").write_text("path\nx.png\n")
    (unprivileged.folder / "perm/open/noending").write_bytes(b"\x89PNG\r\n\x1a\n")
    (unprivileged.folder / "list.csv").write_text("path,label\nset/real/a.png,real\nperm/closed/x.png,fake\n")
    unprivileged.close("perm/closed")
    unprivileged.close("perm/open/noending")
    return unprivileged


def rows(perm: Unprivileged, *images: str) -> tuple[int, list[tuple[str, str | None]], str]:
    done = perm.run("chain", "run", "toy.yaml", *images, "--format", "jsonl")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, [(row["path"], row["error"] and row["error"]["message"]) for row in found], done.stderr


DENIED = "Permission denied"
UNLISTED = "the folder cannot be listed: Permission denied"


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("perm/closed/x.png", [("perm/closed/x.png", DENIED)]),
        ("perm/closed/list.csv", [("perm/closed/list.csv", DENIED)]),
        ("perm/closed/*.png", [("perm/closed", UNLISTED)]),
        ("perm/*/*.png", [("perm/closed", UNLISTED), ("perm/open/a.png", None)]),
        ("perm/**/*.png", [("perm/closed", UNLISTED), ("perm/open/a.png", None)]),
    ],
)
def test_images_that_may_not_be_read_have_rows(
    perm: Unprivileged, image: str, expected: list[tuple[str, str | None]]
) -> None:
    code, found, _ = rows(perm, image)
    assert (code, found) == (1, expected)


def test_a_folder_counts_files_that_may_not_be_looked_at(perm: Unprivileged) -> None:
    code, found, summary = rows(perm, "perm")
    assert (code, found) == (1, [("perm/closed", UNLISTED), ("perm/open/a.png", None)])
    assert "1 file passed over: 1 that cannot be read\n" in summary


def test_what_is_absent_is_still_called_absent(perm: Unprivileged) -> None:
    done = perm.run("chain", "run", "toy.yaml", "perm/open/gone.png")
    assert done.returncode == 2
    assert "error[D2F002]: 'perm/open/gone.png' not found\n" in done.stderr


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("chain run perm/closed/chain.yaml set", 2, "error[D2F108]: 'perm/closed/chain.yaml' cannot be read"),
        ("data stats perm/closed/list.csv", 2, "error[D2F605]: the manifest cannot be read: Permission denied"),
        ("data stats perm/closed/set", 2, "error[D2F605]: the manifest cannot be read: Permission denied"),
        ("data stats list.csv", 1, "perm/closed/x.png: Permission denied"),
        (
            "chain run toy.yaml set -o perm/closed/r.jsonl",
            2,
            "'perm/closed/r.jsonl' cannot be written: Permission denied",
        ),
        ("chain run toy.yaml set -o perm/closed/r.parquet", 2, "'perm/closed/r.parquet' cannot be written"),
        ("chain run toy.yaml set --summary perm/closed/s.json", 2, "'perm/closed/s.json' cannot be written"),
        ("attack jpeg:50 perm/closed/x.png out.png", 1, "perm/closed/x.png: Permission denied"),
        ("attack jpeg:50 set/real/a.png perm/closed/out.png", 1, "'perm/closed/out.png' cannot be written"),
        ("attack jpeg:50 set/real perm/closed/out", 1, "'perm/closed/out/a.png' cannot be written"),
        ("weights convert set.npz perm/closed/b.npz", 2, "'perm/closed/b.npz' cannot be written"),
        ("chain fit toy.yaml --data set -o perm/closed/f.yaml", 2, "'perm/closed/f.yaml' cannot be written"),
        ("data tile set -o perm/closed/s", 2, "'perm/closed/s' cannot be written"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_every_command_says_what_is_not_permitted(perm: Unprivileged, command: str, code: int, words: str) -> None:
    done = perm.run(*command.split())
    assert words in done.stderr
    assert done.returncode == code
    assert not Path(perm.folder, "out.png").exists()


def test_weights_that_may_not_be_looked_at_are_not_called_missing(
    perm: Unprivileged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("D2F_CACHE", str(perm.folder / "perm" / "closed"))
    done = perm.run("weights", "list", "clip-vit-b16")
    assert done.returncode == 2
    assert "error[D2F505]: weights file '" in done.stderr
    assert "cannot be read: permission denied" in done.stderr
