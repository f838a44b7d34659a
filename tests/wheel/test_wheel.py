"""What the wheel holds: every module, template, chain and weights file of the source, and nothing else; the sdist holds
all that the README's commands need."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.environments import Environment

DATA = (".safetensors", ".json", ".npz", ".yaml", ".csv", ".md", ".typed", ".template", ".pem", ".html", ".css", ".js")
pytestmark = pytest.mark.slow


def source(top: str, place: str) -> set[str]:
    """Return the files of a folder of the source that belong into the wheel, as the wheel calls them."""
    found = (path for path in (ROOT / top).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    kept = (path for path in found if path.suffix in (".py", *DATA))
    return {f"{place}{path.relative_to(ROOT / top).as_posix()}" for path in kept if ".egg-info" not in str(path)}


def test_what_is_in_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    wanted = source("d2f", "d2f/") | source("plugins", "") | source("chains", "d2f_chains/")
    wanted = {name.replace("d2f/testing/d2f_pytest/", "d2f_pytest/") for name in wanted}
    assert wanted - inside == set(), "declare it in pyproject.toml: packages, package-dir or package-data"
    assert inside - wanted == set()


def test_what_is_in_the_sdist(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"README.md", "CHANGELOG.md", "mkdocs.yml", ".ci/run", "docs/tutorial/images/flat.png"}
    for top in ("d2f", "plugins", "chains", "tests"):
        found = (path for path in (ROOT / top).rglob("*.py") if "__pycache__" not in path.parts)
        wanted |= {path.relative_to(ROOT).as_posix() for path in found}
    assert wanted - inside == set()


def test_it_is_the_installed_one(environment: Environment, tmp_path: Path) -> None:
    program = "import d2f, d2f_wiener, d2f_chains, d2f_pytest as p; print(d2f.__file__, p.__file__)"
    done = environment.run("python", "-c", program, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert all(str(environment.folder) in path for path in done.stdout.split()), done.stdout


@pytest.mark.parametrize("command", [("--version",), ("--help",), ("plugin", "check")])
def test_commands(environment: Environment, tmp_path: Path, command: tuple[str, ...]) -> None:
    done = environment.run("d2f", *command, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "error" not in done.stdout
