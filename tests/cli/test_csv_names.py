"""CSV rows of names that are not ASCII: UTF-8 without a mark, read back as the page on folders says."""

from __future__ import annotations

import codecs
import csv
from pathlib import Path

from d2f.cli.main import main
from tests.cli.toy import Toy, toy
from tests.docs.pages import DOCS

__all__ = ["toy"]

NAMES = ("Möwe über See.png", "日本.png", "é;comma,quote'.png")


def test_names_are_read_back_as_utf_8(toy: Toy) -> None:
    for name in NAMES:
        toy.picture(f"photos/{name}")
    assert main(["chain", "run", "toy.yaml", "photos", "-o", "rows.csv", "-q"]) == 0
    data = Path("rows.csv").read_bytes()
    assert not data.startswith(codecs.BOM_UTF8)
    rows = list(csv.DictReader(data.decode("utf-8").splitlines()))
    assert sorted(Path(row["path"]).name for row in rows) == sorted(NAMES)
    assert all(Path(row["path"]).is_file() for row in rows)


def test_the_page_says_how_a_spreadsheet_imports_them() -> None:
    text = (DOCS / "how-to" / "run-on-a-folder.md").read_text("utf-8")
    assert "import it as UTF-8 text (*Data, From Text/CSV*, origin 65001)" in text
