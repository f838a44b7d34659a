"""Reads the code blocks of a documentation page, and runs them as a reader would.

Three kinds of block do something; every other is left alone:

- ``console``: lines that begin with ``$ `` are run by bash; the lines below are what must be printed, where ``…``
  stands for any text in a line and a line ``…`` alone for any lines. ``<!-- exit: N -->`` above it expects that code.
- ``python``: executed, in one namespace a page.
- any block with ``title="NAME"``: written to the file NAME.

``<!-- files: FOLDER as NAME -->`` lays a copy of a folder of docs/ beside the blocks. A page runs in one temporary
folder, in order. One that says ``pip install`` runs in a virtual environment of its own, which sees what is installed
here; nothing is downloaded. ``<!-- needs: torch -->`` leaves the page out of the default run (`pytest -m torch`), any
other module leaves it out where that module is not installed.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from tests.environments import Environment

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

FENCE = re.compile(
    r"(?:<!-- exit: (?P<exit>\d+) -->\n+)?^(?P<indent> *)```(?P<info>\w+[^\n]*)\n(?P<body>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)
FILES = re.compile(r"<!-- files: (?P<folder>\S+) as (?P<name>\S+) -->")
INSTALLS = re.compile(r"^ *\$ .*\bpip install\b", re.MULTILINE)
TITLE = re.compile(r'title="([^"]+)"')


def docs_script(name: str) -> ModuleType:
    """Return a script of docs/, which is no package, as a module."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its file name if it has one, its text, the line it begins on."""

    language: str
    title: str
    body: str
    line: int
    exit: int = 0


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    found = []
    for match in FENCE.finditer(text):
        info, indent = match["info"], match["indent"]
        title = TITLE.search(info)
        body = re.sub(rf"^{indent}", "", match["body"], flags=re.MULTILINE)
        line = text[: match.start()].count("\n") + 1
        found.append(Block(info.split()[0], title[1] if title else "", body, line, int(match["exit"] or 0)))
    return found


def runnable(page: Path) -> bool:
    """Whether the page holds a block that does something."""
    return any(block.title or block.language in ("console", "python") for block in blocks(page.read_text("utf-8")))


def needs(page: Path) -> str:
    """Return the module that the page needs; empty where it needs none."""
    found = re.search(r"<!-- needs: (\w+) -->", page.read_text("utf-8"))
    return found[1] if found else ""


def environment(folder: Path, own: Environment | None = None) -> dict[str, str]:
    """Return the environment of a reader whose d2f is the one under test, without colours, 100 columns wide."""
    if own is not None:
        data = {key: os.environ[key] for key in ("D2F_DATA",) if key in os.environ}
        return own.variables({**data, "COLUMNS": "100", "NO_COLOR": "1", "D2F_CACHE": str(folder / ".cache")})
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("D2F_", "PYTEST"))}
    if "D2F_DATA" in os.environ:
        kept["D2F_DATA"] = os.environ["D2F_DATA"]
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
    return {**kept, "PATH": path, "COLUMNS": "100", "NO_COLOR": "1", "D2F_CACHE": str(folder / ".cache")}


def run_page(page: Path, folder: Path) -> None:
    """Run every block of `page` in `folder`; an AssertionError names the page and the line."""
    text = page.read_text("utf-8")
    for match in FILES.finditer(text):
        shutil.copytree(DOCS / match["folder"], folder / match["name"])
    namespace: dict[str, object] = {"__name__": "__docs__"}
    own = Environment.make(folder / ".reader", with_d2f=True) if INSTALLS.search(text) else None
    for block in blocks(text):
        where = f"{os.path.relpath(page, ROOT)}:{block.line}"
        if block.title:
            target = folder / block.title
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.body, "utf-8")
        elif block.language == "console":
            _run_console(block, environment(folder, own), folder, where)
        elif block.language == "python":
            _run_python(block, folder, where, namespace)


def _run_python(block: Block, folder: Path, where: str, namespace: dict[str, object]) -> None:
    before = Path.cwd()
    os.chdir(folder)
    try:
        exec(compile(block.body, where, "exec"), namespace)
    finally:
        os.chdir(before)


def _run_console(block: Block, variables: dict[str, str], folder: Path, where: str) -> None:
    for command, expected in _commands(block.body):
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=600,
        )
        assert done.returncode == block.exit, f"{where}: `{command}` ended with {done.returncode}:\n{done.stdout}"
        assert matches(expected, done.stdout), (
            f"{where}: `{command}` printed\n{done.stdout}\nbut the page says\n{expected}"
        )


def _commands(body: str) -> list[tuple[str, str]]:
    commands: list[tuple[str, list[str]]] = []
    for line in body.splitlines():
        if line.startswith("$ "):
            commands.append((line[2:], []))
        elif commands and commands[-1][0].endswith("\\") and not commands[-1][1]:
            commands[-1] = (f"{commands[-1][0][:-1]}{line.lstrip('> ')}", [])
        elif commands:
            commands[-1][1].append(line)
    return [(command, "\n".join(lines)) for command, lines in commands]


def matches(expected: str, printed: str) -> bool:
    """Whether `printed` is `expected`, trailing blanks aside; nothing expected accepts anything."""
    if not expected.strip():
        return True
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == "…" else re.escape(line.rstrip()).replace("…", r".*") + r"\n"
        for line in expected.strip("\n").splitlines()
    )
    text = "".join(f"{line.rstrip()}\n" for line in printed.strip("\n").splitlines())
    return re.fullmatch(pattern, text) is not None
