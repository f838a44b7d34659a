"""What may not be read is not called absent, and what may not be written has an error with a code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.toy import toy
from tests.unprivileged import Unprivileged, unprivileged

__all__ = ["toy", "unprivileged"]


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
