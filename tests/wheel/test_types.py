"""A type checker sees d2f's types in an editable install, too; that the wheel holds `py.typed` is tested beside."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.environments import PIP, Environment
from tests.wheel.conftest import PACKED, copied

pytestmark = pytest.mark.slow

PROGRAM = """
import d2f
reveal_type(d2f.load_chain("fast").judge("a.jpg"))
reveal_type(d2f.output.choose_format)
"""


def test_an_editable_install_is_typed(tmp_path: Path) -> None:
    source = copied(PACKED, tmp_path / "source")
    environment = Environment.make(tmp_path / "venv", with_d2f=False)
    done = environment.run("pip", "install", "-q", "--no-deps", "-e", str(source), cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "program.py").write_text(PROGRAM)
    python = str(environment.folder / "bin" / "python")
    command = [sys.executable, "-m", "mypy", "--python-executable", python, "--ignore-missing-imports", "program.py"]
    checked = subprocess.run(
        command, cwd=tmp_path / "work", env={**environment.variables(), **PIP}, capture_output=True, text=True
    )
    assert 'Revealed type is "d2f.chain.result.Result"' in checked.stdout, checked.stdout
    assert "Literal['table']" in checked.stdout or "Format" in checked.stdout, checked.stdout  # by mypy's version
