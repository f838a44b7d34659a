"""Who imports whom, as docs/explanation/architecture.md states it; what is packed, as it lies on disk."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "architecture.md"
ROW = re.compile(r"^\| `d2f/(\w+)` \|.*\| ([^|]+) \|$", re.MULTILINE)
CODE = re.compile(r"`([\w.]+)`")
EVERYWHERE = {"version"}


@cache
def imported(file: Path) -> frozenset[str]:
    """Return the modules of d2f that a file imports, at its top or in a function, without the leading ``d2f.``.

    ``import d2f`` itself is ``d2f``.
    """
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "d2f":
            found |= {f"d2f.{name.name}" for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return frozenset(name.removeprefix("d2f.") for name in found if f"{name}.".startswith("d2f."))


def files(package: str) -> Iterator[Path]:
    """Yield the Python files of a package."""
    folder = ROOT / "d2f" / package
    yield from sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


def packages() -> set[str]:
    """Return the packages on disk: the packages and modules right in d2f/."""
    packages = {path.parent.name for path in (ROOT / "d2f").glob("*/__init__.py")}
    return packages | {path.stem for path in (ROOT / "d2f").glob("*.py")} - {"__init__"} - EVERYWHERE


def stated() -> dict[str, set[str]]:
    """Return what the page lets each package import."""
    found = {}
    for package, may in ROW.findall(PAGE.read_text("utf-8")):
        named = set(CODE.findall(may))
        found[package] = packages() - named if may.startswith("all") else named
    return found


def test_the_page_names_the_packages_that_exist() -> None:
    assert set(stated()) == packages()


@pytest.mark.parametrize("package", sorted(packages()))
def test_a_package_imports_what_the_page_lets_it(package: str) -> None:
    may = stated()[package] | EVERYWHERE | {package}
    strays = {
        f"{file.relative_to(ROOT)}: d2f.{name}"
        for file in files(package)
        for name in imported(file)
        if name not in may and name.partition(".")[0] not in may
    }
    assert strays == set()


def test_no_two_packages_import_each_other() -> None:
    pairs = {
        (package, other)
        for package, may in stated().items()
        for name in may - {package}
        for other in [name.partition(".")[0]]
    }
    before: set[str] = set()
    while left := packages() - before:
        ready = {package for package in left if all(other in before for one, other in pairs if one == package)}
        assert ready, f"these import each other: {sorted(left)}"
        before |= ready


def test_built_in_plugins_come_in_by_the_public_door() -> None:
    import d2f

    text = PAGE.read_text("utf-8").partition("`plugins/` hold")[2].partition("\n\n")[0]
    public = {name.removeprefix("d2f.") for name in CODE.findall(text) if name.startswith("d2f.")}
    assert public
    public.add("d2f")
    strays = {
        f"{file.relative_to(ROOT)}: d2f.{name}"
        for file in (ROOT / "plugins").rglob("*.py")
        for name in imported(file)
        if name not in public and name not in d2f.__all__
    }
    assert strays == set()


def test_every_package_is_declared() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    places = declared["package-dir"]
    packages = {
        places[name] if name in places else f"{places['d2f']}/{name.removeprefix('d2f.').replace('.', '/')}"
        for name in declared["packages"]
    }
    folders = {
        path.parent.relative_to(ROOT).as_posix()
        for top in ("d2f", "plugins", "chains")
        for path in (ROOT / top).rglob("__init__.py")
    }
    assert packages == folders
