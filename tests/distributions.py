"""Small plugin distributions, installed for one test: real modules, real metadata, real entry points."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from d2f.plugins.catalog import Catalog, _package_digest
from d2f.plugins.entries import plugin_packages

STAGE = """
from pydantic import BaseModel, ConfigDict, Field
import d2f

class Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    window: int = Field(3, ge=1, le=15, description="Side of the window in pixels.")

class Stage:
    name = "NAME"
    summary = "Does nothing at all."
    Options = Options
    def __init__(self, options):
        self.options = options
    def apply(self, pixels, seed):
        return pixels

@d2f.hookimpl
def d2f_preprocessors():
    return [Stage]
"""


def stage_module(name: str, more: str = "") -> str:
    """Return the source of a plugin with one preprocessor; `more` stands at the end."""
    return STAGE.replace("NAME", name) + dedent(more)


@dataclass(frozen=True)
class Distributions:
    """A folder on the path in which distributions are put."""

    folder: Path

    def add(
        self,
        distribution: str,
        modules: Mapping[str, str],
        entry_points: Mapping[str, str],
        group: str = "d2f",
        version: str = "1.2",
    ) -> None:
        """Install modules (by file) and entry points (name to value)."""
        for file, source in modules.items():
            path = self.folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(source), "utf-8")
        info = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n", "utf-8")
        lines = [f"[{group}]", *(f"{name} = {value}" for name, value in entry_points.items())]
        with (info / "entry_points.txt").open("a", encoding="utf-8") as file:
            file.write("\n".join([*lines, "", ""]))

    def add_plugin(self, name: str, source: str, **more: str) -> None:
        """Install distribution ``d2f-NAME`` with the module ``d2f_NAME`` and the entry point ``NAME``."""
        module = f"d2f_{name.replace('-', '_')}"
        self.add(f"d2f-{name}", {f"{module}.py": source}, {name: module}, **more)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run ``d2f`` in a process of its own."""
        return self.python("import sys; from d2f.cli.main import main; sys.exit(main())", *arguments, **environment)

    def python(self, code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run Python in a process of its own that sees the distributions."""
        keep = {name: value for name, value in os.environ.items() if not name.startswith("D2F")}
        env = {**keep, "PYTHONPATH": str(self.folder), "COLUMNS": "100", **environment}
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Distributions]:
    """Yield a folder on this process's path; what was imported from it is forgotten afterwards."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(Catalog, "_of_this_process", None)
    monkeypatch.delenv("D2F_PLUGINS", raising=False)
    monkeypatch.delenv("D2F_DEBUG", raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    _forget_packages()
    yield Distributions(folder)
    _forget_packages()
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(folder)):
            del sys.modules[name]


def _forget_packages() -> None:
    """Forget digests of plugins: another test's may have had the same name."""
    _package_digest.cache_clear()
    plugin_packages.cache_clear()
