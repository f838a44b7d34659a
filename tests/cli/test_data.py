"""`d2f data`: stats, split, tile and audit, from the command line to what is written."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from d2f.cli.main import main
from d2f.testing.pictures import write_labelled_set
from tests.unit.data.audit_sets import write_given_away

# `d2f data stats`


@pytest.fixture
def set_of_8(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_labelled_set("set", count=4, height=64, width=64)


def test_stats_prints_counts_with_bars(set_of_8, capsys):
    assert main(["data", "stats", "set"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "8 images: 4 real, 4 generated, 4 collections"
    assert ["JPEG", "4", "4", "=" * 20 + "#" * 20] in [line.split() for line in printed]


def test_stats_prints_json(set_of_8, capsys):
    assert main(["data", "stats", "set", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["labels"] == {"real": 4, "generated": 4}
    assert found["by"]["JPEG quality"] == {"90-94": {"real": 4, "generated": 4}}


def test_a_damaged_file_is_one_located_line_and_exit_1(set_of_8, capsys):
    (set_of_8 / "real/place-0/0000.jpg").write_bytes(b"\xff\xd8\xff")
    assert main(["data", "stats", "set"]) == 1
    told = capsys.readouterr()
    assert told.err.count("error[") == 1
    assert "error[D2F304]: set/real/place-0/0000.jpg: JPEG is damaged" in told.err
    assert told.out.startswith("7 images: 3 real")


def test_a_set_of_one_label_is_counted_as_it_is(set_of_8, capsys):
    shutil.rmtree("set/generated")
    assert main(["data", "stats", "set"]) == 0
    assert capsys.readouterr().out.startswith("4 images: 4 real, 0 generated")


# `d2f data split`


@pytest.fixture
def set_of_32(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_labelled_set("set", count=16, height=64, width=64)


def rows(path):
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_one_manifest_with_parts_that_share_no_collection(set_of_32, capsys):
    assert main(["data", "split", "set", "-o", "split.csv"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["part", "images", "real", "generated", "components", "generators", "%"]
    lines = [line.split() for line in printed[1:4]]
    assert [line[-1] for line in lines] == [f"{100 * int(line[1]) / 32:.1f}" for line in lines]
    assert printed[-1] == "wrote split.csv"
    found = rows("split.csv")
    assert len(found) == 32
    parts = {}
    for row in found:
        parts.setdefault(row["collection"], set()).add(row["part"])
    assert all(len(each) == 1 for each in parts.values())
    assert {row["part"] for row in found} == {"train", "validation", "test"}


def test_pictures_that_look_alike_stay_together(set_of_32, capsys):
    shutil.rmtree("set/generated/toy/place-1")
    shutil.copytree("set/real/place-0", "set/generated/toy/place-9")
    assert main(["data", "split", "set", "-o", "split.csv", "--shares", "50/50"]) == 0
    of = {row["collection"]: row["part"] for row in rows("split.csv")}
    assert of["place-0"] == of["place-9"]


def test_a_manifest_for_each_fold(set_of_32, capsys):
    assert main(["data", "split", "set", "-o", "folds", "--folds", "4"]) == 0
    names = [f"folds/fold-{i}.csv" for i in range(4)]
    assert sum(len(rows(name)) for name in names) == 32
    assert all(row["fold"] == "2" for row in rows(names[2]))
    assert main(["data", "split", "folds/fold-1.csv", "-o", "folds", "--folds", "2"]) == 2
    assert "'folds/fold-0.csv' already exists" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["70", "70/x", "1/2/3/4", "50/0/50", "nan/1"])
def test_shares_that_make_no_sense(set_of_32, capsys, text):
    assert main(["data", "split", "set", "-o", "split.csv", "--shares", text]) == 2
    assert "two or three numbers above 0" in capsys.readouterr().err


def test_more_parts_than_collections(set_of_32, capsys):
    assert main(["data", "split", "set", "-o", "split.csv", "--folds", "5"]) == 2
    assert "error[D2F603]: 5 parts need photographs" in capsys.readouterr().err


# `d2f data tile`


@pytest.fixture
def wide_set_of_8(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_labelled_set("set", count=4, height=80, width=100)


def test_tile_tells_counts_before_and_after(wide_set_of_8, capsys):
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


def test_a_broken_picture_costs_itself(wide_set_of_8, capsys):
    Path("set/real/place-0/0000.jpg").write_bytes(b"\xff\xd8\xff")
    assert main(["data", "tile", "set", "-o", "tiles", "--size", "40", "--pick", "centre"]) == 1
    told = capsys.readouterr()
    assert told.err.splitlines()[0].startswith("error[D2F304]: set/real/place-0/0000.jpg: JPEG is damaged")
    assert len(list(Path("tiles").rglob("*.png"))) == 7


def test_nothing_is_overwritten(wide_set_of_8, capsys):
    assert main(["data", "tile", "set", "-o", "set"]) == 2
    assert "error[D2F004]: 'set' is not empty" in capsys.readouterr().err


def test_a_label_that_runs_out_of_tiles_is_told(wide_set_of_8, capsys):
    for path in Path("set/real").rglob("*.jpg"):
        path.write_bytes(b"")
    assert main(["data", "tile", "set", "-o", "tiles", "--size", "40", "--balance", "smallest"]) == 2
    assert "there are no photographs" in capsys.readouterr().err


# `d2f data audit`


@pytest.fixture
def given_away(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_given_away(Path("set"), count=16, side=96)


def test_audit_and_repair(given_away, capsys):
    assert main(["data", "audit", "set", "--repair", "out", "--window", "80"]) == 0
    before, after = capsys.readouterr().out.split("wrote 32 images, encoded by one rule, to out\n")
    assert before.startswith("32 images: 16 real, 16 generated, 16 collections, 16 components\n")
    assert "  format alone: AUC 1.000 [1.000, 1.000]: this set measures file formats\n" in before
    assert "  format alone: AUC 0.500 [0.500, 0.500]: tells next to nothing" in after
    assert "  original format alone: AUC 1.000 [1.000, 1.000]: the files no longer say it" in after
    assert after.startswith("left out: 0 photographs and 0 generated images smaller than 80 pixels, 0 repeated files")


def test_json_holds_both_audits(given_away, capsys):
    assert main(["data", "audit", "set", "--repair", "out", "--window", "80", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    of = {each["name"]: each["auc"] for each in found["shortcuts"]}
    assert of["format"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert of["JPEG quality"] is None
    assert {each["name"]: each["auc"] for each in found["repaired"]["shortcuts"]}["size"]["value"] == 0.5


def test_a_damaged_file_is_one_line_and_exit_1(given_away, capsys):
    damaged = Path("set/real/hands-0-0/0.jpg")
    damaged.write_bytes(damaged.read_bytes()[:600])
    assert main(["data", "audit", "set"]) == 1
    told = capsys.readouterr().err
    assert told.count("error[") == 1
    assert "error[D2F304]: set/real/hands-0-0/0.jpg: JPEG is damaged or truncated" in told


def test_one_label_is_refused(given_away, capsys):
    for path in Path("set/generated").rglob("*.png"):
        path.unlink()
    assert main(["data", "audit", "set"]) == 2
    assert "error[D2F603]: there are no generated images" in capsys.readouterr().err


def test_a_folder_that_holds_something_is_not_written_to(given_away, capsys):
    assert main(["data", "audit", "set", "--repair", "set"]) == 2
    assert "error[D2F004]: 'set' is not empty" in capsys.readouterr().err


def test_review_writes_a_gallery(given_away, capsys):
    assert main(["data", "audit", "set", "--review", "look", "--top", "5"]) == 0
    told = capsys.readouterr()
    assert "label review by noise-statistics: " in told.err
    assert Path("look/index.html").read_text("utf-8").count("<figure>") == 5
    assert len(Path("look/review.csv").read_text("utf-8").splitlines()) == 6


def test_an_unknown_trainable_is_told(given_away, capsys):
    assert main(["data", "audit", "set", "--review", "look", "--trainable", "nobody"]) == 2
    assert "nobody" in capsys.readouterr().err
