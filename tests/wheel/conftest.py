"""The wheel and the sdist, built from a clean copy of the source, and an empty environment with the wheel in it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.environments import PIP, Environment

PACKED = ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", ".ci", "d2f", "plugins", "chains")
BESIDES = ("CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "mkdocs.yml", "docs", "tests")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")


def copied(parts: tuple[str, ...], source: Path) -> Path:
    """Copy parts of the checkout, without what was built there, to a new folder `source`."""
    source.mkdir()
    for part in parts:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, source / part, ignore=LEFT_OUT)
        else:
            shutil.copy(ROOT / part, source / part)
    return source


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist."""
    folder = tmp_path_factory.mktemp("sdist")
    source = copied((*PACKED, *BESIDES), folder / "source")
    program = f"import sys; sys.path.insert(0, '.ci'); from build_d2f import build_sdist; build_sdist({str(folder)!r})"
    done = subprocess.run([sys.executable, "-c", program], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.tar.gz")
    return built


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    source = copied(PACKED, folder / "source")
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
