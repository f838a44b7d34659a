from __future__ import annotations

import json
import shutil

import pytest

from d2f.cli.main import main
from d2f.testing.pictures import write_labelled_set


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_labelled_set("set", count=4, height=64, width=64)


def test_stats_prints_counts_with_bars(folder, capsys):
    assert main(["data", "stats", "set"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "8 images: 4 real, 4 generated, 4 collections"
    assert ["JPEG", "4", "4", "=" * 20 + "#" * 20] in [line.split() for line in printed]


def test_stats_prints_json(folder, capsys):
    assert main(["data", "stats", "set", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["labels"] == {"real": 4, "generated": 4}
    assert found["by"]["JPEG quality"] == {"90-94": {"real": 4, "generated": 4}}


def test_a_damaged_file_is_one_located_line_and_exit_1(folder, capsys):
    (folder / "real/place-0/0000.jpg").write_bytes(b"\xff\xd8\xff")
    assert main(["data", "stats", "set"]) == 1
    told = capsys.readouterr()
    assert told.err.count("error[") == 1
    assert "error[D2F304]: set/real/place-0/0000.jpg: JPEG is damaged" in told.err
    assert told.out.startswith("7 images: 3 real")


def test_a_set_of_one_label_is_counted_as_it_is(folder, capsys):
    shutil.rmtree("set/generated")
    assert main(["data", "stats", "set"]) == 0
    assert capsys.readouterr().out.startswith("4 images: 4 real, 0 generated")
