from __future__ import annotations

import csv
import shutil

import pytest

from d2f.cli.main import main
from d2f.testing.pictures import write_labelled_set


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_labelled_set("set", count=16, height=64, width=64)


def rows(path):
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_one_manifest_with_parts_that_share_no_collection(folder, capsys):
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


def test_pictures_that_look_alike_stay_together(folder, capsys):
    shutil.rmtree("set/generated/toy/place-1")
    shutil.copytree("set/real/place-0", "set/generated/toy/place-9")
    assert main(["data", "split", "set", "-o", "split.csv", "--shares", "50/50"]) == 0
    of = {row["collection"]: row["part"] for row in rows("split.csv")}
    assert of["place-0"] == of["place-9"]


def test_a_manifest_for_each_fold(folder, capsys):
    assert main(["data", "split", "set", "-o", "folds", "--folds", "4"]) == 0
    names = [f"folds/fold-{i}.csv" for i in range(4)]
    assert sum(len(rows(name)) for name in names) == 32
    assert all(row["fold"] == "2" for row in rows(names[2]))
    assert main(["data", "split", "folds/fold-1.csv", "-o", "folds", "--folds", "2"]) == 2
    assert "'folds/fold-0.csv' already exists" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["70", "70/x", "1/2/3/4", "50/0/50", "nan/1"])
def test_shares_that_make_no_sense(folder, capsys, text):
    assert main(["data", "split", "set", "-o", "split.csv", "--shares", text]) == 2
    assert "two or three numbers above 0" in capsys.readouterr().err


def test_more_parts_than_collections(folder, capsys):
    assert main(["data", "split", "set", "-o", "split.csv", "--folds", "5"]) == 2
    assert "error[D2F603]: 5 parts need photographs" in capsys.readouterr().err
