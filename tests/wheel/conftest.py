"""The wheel, built from a clean copy of the source, and an empty environment in which it is installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.environments import PIP, Environment

PARTS = ("pyproject.toml", "README.md", "LICENSE", "d2f", "plugins", "chains")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, source / part, ignore=LEFT_OUT)
        else:
            shutil.copy(ROOT / part, source / part)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
        str(source),
    ]
    done = subprocess.run(command, env={**Environment(folder).variables(), **PIP}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with d2f from the wheel, and nothing of the checkout."""
    made = Environment.make(tmp_path_factory.mktemp("installed") / "venv", with_d2f=False)
    done = made.run("pip", "install", "-q", "--no-deps", str(wheel), cwd=wheel.parent)
    assert done.returncode == 0, done.stdout
    return made
