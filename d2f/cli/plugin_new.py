"""`d2f plugin new`: a small, complete distribution to begin with."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from d2f.plugins.catalog import Catalog
from d2f.scaffold.names import Names, read_name
from d2f.scaffold.write import SCAFFOLDS, new_plugin

MEANINGS = {
    "pyproject.toml": "the entry point by which d2f finds it",
    "README.md": "what it is, and the commands below",
    "recipe.yaml": "how `d2f train` makes its weights",
    ".github/workflows/test.yml": "the same tests on GitHub",
}
"""What the files are for, by path; those with the plugin's name in them are told in `_meaning`."""


@click.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(SCAFFOLDS), default="detector", show_default=True, help="What its stage is.")
@click.option("--learned", is_flag=True, help="A detector with weights, and the model that `d2f train` fits.")
@click.option("--into", default=".", show_default=True, metavar="DIR", help="Where the folder d2f-NAME is made.")
def new(name: str, kind: str, learned: bool, into: str) -> None:
    """Write a small, complete distribution with a stage called NAME.

    It has the stage, its options, a test through d2f.testing, a chain that uses it, and a CI file, and works at once.
    Nothing that is there is touched.
    """
    names = read_name(name, Catalog.discover())
    folder, files = new_plugin(names, kind, learned, Path(into))
    click.echo(f"wrote {folder}{os.sep}")
    formatter = click.HelpFormatter(width=100)
    with formatter.indentation():
        formatter.write_dl([(path, _meaning(path, names, kind)) for path in files], col_max=60)
    click.echo(formatter.getvalue())
    click.echo("next:")
    for command in commands(names, kind, folder):
        click.echo(f"  {command}")


def commands(names: Names, kind: str, folder: Path) -> list[str]:
    """Return what to do with a new plugin, a command each."""
    where = shlex.quote(str(folder) if folder.is_absolute() else f"./{folder.as_posix()}")
    chain = f"{where}/{names.stage}.yaml"
    last = f"d2f chain run {chain} PICTURES" if kind != "combiner" else f"d2f chain check {chain}"
    return [f"pip install -e {where}", f"pytest {where}", f"d2f plugin check {names.stage}", last]


def _meaning(path: str, names: Names, kind: str) -> str:
    if path in MEANINGS:
        return MEANINGS[path]
    if path == f"{names.stage}.yaml":
        return "a chain that uses it"
    if path.startswith("tests/"):
        return "its tests, the first through d2f.testing"
    if path.endswith("/network.py"):
        return "its network, in MLX"
    if path.endswith(".safetensors"):
        return "weights to begin with, fitted to simulated pictures"
    return f"the {kind} and its options" if path.endswith(".py") else "what is not committed"
