"""docs/how-to/serve.md holds every limit, status and route; its unit file is one that systemd takes."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from d2f.serve.settings import Limits
from tests.docs.pages import DOCS, blocks

PAGE = (DOCS / "how-to" / "serve.md").read_text("utf-8")


def limits_table() -> str:
    """Return what stands between the marks."""
    lines = ["| name | default | |", "|---|--:|---|"]
    for name, field in Limits.model_fields.items():
        default = field.default
        shown = f"{default / 2**30:g}Gi" if default >= 2**30 else f"{default / 2**20:g}Mi"
        lines.append(f"| `{name}` | {shown if default >= 2**20 else f'{default:g}'} | {field.description} |")
    return "\n".join(lines)


def test_every_limit() -> None:
    stated = re.search(r"<!-- limits -->\n(.*?)<!-- /limits -->", PAGE, re.DOTALL)
    assert stated is not None
    assert stated[1].strip() == limits_table()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze is installed")
def test_the_unit_file(tmp_path: Path) -> None:
    (unit,) = (block.body for block in blocks(PAGE) if block.language == "ini")
    program = tmp_path / "d2f"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    file = tmp_path / "d2f.service"
    file.write_text(unit.replace("/opt/d2f/bin/d2f", str(program)))
    done = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True, check=False)
    assert "d2f.service" not in done.stderr


def test_the_extension_is_short() -> None:
    folder = DOCS / "how-to" / "extension"
    assert sum(len(path.read_text("utf-8").splitlines()) for path in folder.iterdir()) < 100
