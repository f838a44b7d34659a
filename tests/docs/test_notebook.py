"""The notebook runs, cell by cell, in a folder that holds the tutorial's pictures."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from tests.docs.pages import DOCS

NOTEBOOK = DOCS / "how-to" / "use-from-python.ipynb"


def test_notebook_runs(tmp_path: Path) -> None:
    shutil.copytree(DOCS / "tutorial" / "images", tmp_path / "photos")
    held = json.loads(NOTEBOOK.read_text("utf-8"))
    namespace: dict[str, Any] = {"__name__": "__main__"}
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        for cell in held["cells"]:
            assert not cell.get("outputs")
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), cell["id"], "exec"), namespace)
    finally:
        os.chdir(before)
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert "<iframe" in namespace["explanation"]._repr_html_()
    assert "probability of being AI-generated" in namespace["result"]._repr_html_()
