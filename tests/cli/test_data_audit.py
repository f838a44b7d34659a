from __future__ import annotations

import json
from pathlib import Path

import pytest

from d2f.cli.main import main
from tests.unit.data.audit.sets import write_given_away


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_given_away(Path("set"), count=16, side=96)


def test_audit_and_repair(folder, capsys):
    assert main(["data", "audit", "set", "--repair", "out", "--window", "80"]) == 0
    before, after = capsys.readouterr().out.split("wrote 32 images, encoded by one rule, to out\n")
    assert before.startswith("32 images: 16 real, 16 generated, 16 collections, 16 components\n")
    assert "  format alone: AUC 1.000 [1.000, 1.000]: this set measures file formats\n" in before
    assert "  format alone: AUC 0.500 [0.500, 0.500]: tells next to nothing" in after
    assert "  original format alone: AUC 1.000 [1.000, 1.000]: the files no longer say it" in after
    assert after.startswith("left out: 0 photographs and 0 generated images smaller than 80 pixels, 0 repeated files")


def test_json_holds_both_audits(folder, capsys):
    assert main(["data", "audit", "set", "--repair", "out", "--window", "80", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    of = {each["name"]: each["auc"] for each in found["shortcuts"]}
    assert of["format"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert of["JPEG quality"] is None
    assert {each["name"]: each["auc"] for each in found["repaired"]["shortcuts"]}["size"]["value"] == 0.5


def test_a_damaged_file_is_one_line_and_exit_1(folder, capsys):
    damaged = Path("set/real/hands-0-0/0.jpg")
    damaged.write_bytes(damaged.read_bytes()[:600])
    assert main(["data", "audit", "set"]) == 1
    told = capsys.readouterr().err
    assert told.count("error[") == 1
    assert "error[D2F304]: set/real/hands-0-0/0.jpg: JPEG is damaged or truncated" in told


def test_one_label_is_refused(folder, capsys):
    for path in Path("set/generated").rglob("*.png"):
        path.unlink()
    assert main(["data", "audit", "set"]) == 2
    assert "error[D2F603]: there are no generated images" in capsys.readouterr().err


def test_a_folder_that_holds_something_is_not_written_to(folder, capsys):
    assert main(["data", "audit", "set", "--repair", "set"]) == 2
    assert "error[D2F004]: 'set' is not empty" in capsys.readouterr().err


def test_review_writes_a_gallery(folder, capsys):
    assert main(["data", "audit", "set", "--review", "look", "--top", "5"]) == 0
    told = capsys.readouterr()
    assert "label review by noise-statistics: " in told.err
    assert Path("look/index.html").read_text("utf-8").count("<figure>") == 5
    assert len(Path("look/review.csv").read_text("utf-8").splitlines()) == 6


def test_an_unknown_trainable_is_told(folder, capsys):
    assert main(["data", "audit", "set", "--review", "look", "--trainable", "nobody"]) == 2
    assert "nobody" in capsys.readouterr().err
