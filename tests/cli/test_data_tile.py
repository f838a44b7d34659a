from __future__ import annotations

from pathlib import Path

import pytest

from d2f.cli.main import main
from d2f.testing.pictures import write_labelled_set


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_labelled_set("set", count=4, height=80, width=100)


def test_tile_tells_counts_before_and_after(folder, capsys):
    Path("set/real/place-0/0000.jpg").unlink()
    assert main(["data", "tile", "set", "-o", "tiles", "--size", "40", "--balance", "smallest"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "7 pictures: 0 too small, 0 tiles too flat",
        f"as cut              real            12  {'=' * 30}",
        f"                    generated       16  {'#' * 40}",
        f"balance smallest    real            12  {'=' * 30}",
        f"                    generated       12  {'#' * 30}",
        "wrote tiles/manifest.csv",
    ]


def test_a_broken_picture_costs_itself(folder, capsys):
    Path("set/real/place-0/0000.jpg").write_bytes(b"\xff\xd8\xff")
    assert main(["data", "tile", "set", "-o", "tiles", "--size", "40", "--pick", "centre"]) == 1
    told = capsys.readouterr()
    assert told.err.splitlines()[0].startswith("error[D2F304]: set/real/place-0/0000.jpg: JPEG is damaged")
    assert len(list(Path("tiles").rglob("*.png"))) == 7


def test_nothing_is_overwritten(folder, capsys):
    assert main(["data", "tile", "set", "-o", "set"]) == 2
    assert "error[D2F004]: 'set' is not empty" in capsys.readouterr().err


def test_a_label_that_runs_out_of_tiles_is_told(folder, capsys):
    for path in Path("set/real").rglob("*.jpg"):
        path.write_bytes(b"")
    assert main(["data", "tile", "set", "-o", "tiles", "--size", "40", "--balance", "smallest"]) == 2
    assert "there are no photographs" in capsys.readouterr().err
