"""`d2f explain`, `d2f report` and `d2f chain run --report`: what is written, said and refused."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from d2f_provenance.credentials import shipped_lists
from jsonschema import Draft202012Validator
from PIL import Image

from d2f.cli.main import main
from d2f.explain import gallery
from d2f.explain.record import report_schema
from tests.cli.toy import Toy, toy

__all__ = ["toy"]


def pictures(toy: Toy, *colours: str) -> str:
    for colour in colours:
        toy.picture(f"photos/{colour}.png", colour)
    return "photos"


def valid(path: Path) -> dict[str, object]:
    record: dict[str, object] = json.loads(path.read_text())
    Draft202012Validator(report_schema()).validate(record)
    return record


def test_explain_writes_a_page_and_its_record(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    chain, folder = "toy.yaml", pictures(toy, "white", "grey")
    assert main(["explain", chain, folder, "-o", "report.html"]) == 0
    printed = capsys.readouterr().out
    assert "white.png: AI-generated" in printed
    assert printed.count("is no proof of a camera") == 1  # for all images together
    assert printed.endswith("wrote report.html and report.json\n")
    assert len(valid(Path("report.json"))["images"]) == 2  # type: ignore[arg-type]
    page = Path("report.html").read_text()
    assert page.index("white.png") < page.index("grey.png")
    assert main(["explain", chain, folder, "-o", "report.html"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["explain", chain, folder, "-o", "report.pdf"]) == 2
    assert "ends in .html" in capsys.readouterr().err


def test_a_report_is_verified(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    chain, folder = "toy.yaml", pictures(toy, "white", "black")
    assert main(["explain", chain, f"{folder}/white.png", "-o", "report.html"]) == 0
    capsys.readouterr()
    assert main(["report", "verify", "report.json", f"{folder}/white.png", "--chain", chain]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in told] == ["holds"] * 4 + ["not"]
    assert told[2].startswith("holds    chain: toy.yaml: ")
    assert told[4].startswith("not checked: maps, quality facts")
    assert main(["report", "verify", "report.json", f"{folder}/black.png", "--chain", chain]) == 1
    assert capsys.readouterr().out.startswith("DIFFERS  sha256: ")
    assert main(["report", "verify", "report.json", f"{folder}/gone.png", "--chain", chain]) == 2
    assert f"error[D2F002]: '{folder}/gone.png' cannot be compared" in capsys.readouterr().err
    Path("empty.png").touch()
    assert main(["report", "verify", "report.json", "empty.png", "--chain", chain]) == 2
    assert "error[D2F302]: 'empty.png' cannot be compared" in capsys.readouterr().err
    Path("roots.pem").write_text(shipped_lists()[0].anchors)
    command = ["explain", "fast", f"{folder}/white.png", "-o", "own.html", "--map", "none"]
    assert main([*command, "--trust-list", "roots.pem"]) == 0
    capsys.readouterr()
    assert main(["report", "verify", "own.json", f"{folder}/white.png", "--trust-list", "roots.pem"]) == 0
    assert main(["report", "verify", "own.json", f"{folder}/white.png"]) == 1
    assert "DIFFERS  chain digest" in capsys.readouterr().out
    assert main(["report", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == report_schema()


def test_a_run_writes_a_gallery(toy: Toy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "AT_ONCE", 3)
    chain, folder = "toy.yaml", pictures(toy, "white", "black", "grey")
    for number in range(4):
        Image.new("RGB", (16, 16), (255, 255, 255)).save(Path(folder) / f"<b>{number}.png")
    (Path(folder) / "broken.png").write_bytes(b"no picture")
    assert main(["chain", "run", chain, folder, "-o", "rows.jsonl", "--report", "out"]) == 1
    capsys.readouterr()
    out = Path("out")
    record = valid(out / "report.json")
    assert [one["row"]["path"] for one in record["images"]] == [  # type: ignore[attr-defined]
        Path(json.loads(line)["path"]).name for line in Path("rows.jsonl").read_text().splitlines()
    ]
    pages = {path.stem for path in out.glob("*.html")}
    filters = {"failed", "generated", "inconclusive", "index", "real"}
    assert pages == filters | {"generated-2", "index-2", "index-3"}
    first = (out / "index.html").read_text()
    assert "<b>0" not in first
    assert "AI-generated (5)" in first
    links = [
        link for page in pages for link in re.findall(r'(?:href|src)="([^"#]+)"', (out / f"{page}.html").read_text())
    ]
    assert links
    assert [link for link in links if not (out / link).is_file()] == []
    assert len(list(out.rglob("thumbs/*/*.jpg"))) == 7
    (one, *_) = (out / "images").rglob("*.html")
    assert "one image at a time: d2f explain toy IMAGE -o report.html. No map is shown: whether this" in one.read_text()
    assert main(["chain", "run", chain, folder, "--report", "out"]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_a_resumed_run_reports_every_row(toy: Toy) -> None:
    chain, folder = "toy.yaml", pictures(toy, "white", "black")
    assert main(["chain", "run", chain, f"{folder}/white.png", "-o", "rows.jsonl"]) == 0
    assert main(["chain", "run", chain, folder, "-o", "rows.jsonl", "--resume", "--report", "out"]) == 0
    assert len(valid(Path("out/report.json"))["images"]) == 2  # type: ignore[arg-type]


def test_a_file_name_that_is_not_utf8_is_reported_as_in_the_record(toy: Toy) -> None:
    toy.picture("photos/grey.png", "grey")
    try:
        os.rename("photos/grey.png", b"photos/caf\xe9.png")
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    assert main(["explain", "toy.yaml", "photos", "-o", "report.html"]) == 0
    assert main(["chain", "run", "toy.yaml", "photos", "-o", "rows.jsonl", "--report", "out"]) == 0
    (page,) = Path("out/images").rglob("*.html")
    for path in (Path("report.html"), page, Path("out/index.html")):
        assert "caf\ufffd.png" in path.read_text("utf-8")
    assert valid(Path("out/report.json"))["images"][0]["row"]["path"] == "caf\ufffd.png"  # type: ignore[index]
