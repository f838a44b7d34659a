"""`d2f chain`: run over images, list, check, show, schema."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from d2f.api.errors import D2FError
from d2f.cli.main import LazyGroup, Table, print_problems, wants_colour

if TYPE_CHECKING:
    from rich.text import Text

COMMANDS: Table = {
    "run": ("d2f.cli.run:run", "Score images: one verdict each."),
    "list": ("d2f.cli.chain:list_", "The chains that ship, and whether their weights are here."),
    "check": ("d2f.cli.chain:check", "Find every problem of a chain file."),
    "show": ("d2f.cli.chain:show", "Draw a chain: stages, views, calibrations, weights."),
    "fit": ("d2f.cli.fit:fit", "Learn calibration, combination and thresholds from labelled images."),
    "new": ("d2f.cli.build:new", "Write a chain file of named stages, to be fitted on images of one's own."),
    "build": ("d2f.cli.build:build", "Put an image tower into a chain: head, fit, comparison, in one command."),
    "ablate": ("d2f.cli.fit:ablate", "See what each detector, view and member adds, and keep what does."),
    "schema": ("d2f.cli.chain:schema", "Print the JSON schema of chain files, for editors."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def chain() -> None:
    """Work with chains: detectors over views, combined into one verdict.

    CHAIN is the path of a chain file or the name of a chain that ships with d2f.
    """


@click.command("list")
def list_() -> None:
    """Show the chains that ship with d2f, what each is, and what it wants that is not here."""
    from d2f.chain.chain import load_chain, shipped_names
    from d2f.cli.judge import absent_weights

    for name in shipped_names():
        loaded = load_chain(name)
        click.echo(f"{name:8} {loaded.file.description}")
        if absent := absent_weights(loaded):
            click.echo(f"{'':8} its weights are missing: d2f weights pull {' '.join(absent)}")


@click.command()
@click.argument("chain")
def check(chain: str) -> None:
    """Find every problem of CHAIN at once, each with its place and a next step.

    Exit code 0: none, or warnings only. 2: some. 3: a plugin that the chain needs is broken.
    """
    from d2f.chain.chain import chain_text
    from d2f.chain.check import check_text
    from d2f.plugins.catalog import Catalog

    checked = check_text(chain_text(chain), Catalog.discover())
    if checked.file is None:
        raise D2FError(checked.problems, checked.exit)
    print_problems(checked.problems)
    if not checked.problems:
        click.echo(f"{chain}: no problem found")


@click.command()
def schema() -> None:
    """Print the JSON schema (draft 2020-12) of chain files, with the options of the stages that are installed.

    To have an editor with a YAML language server check a chain file as it is written:

    \b
      d2f chain schema > chain.schema.json
      # yaml-language-server: $schema=chain.schema.json      <- the first line of the chain file
    """
    from d2f.chain.model import chain_schema
    from d2f.plugins.catalog import Catalog

    click.echo(json.dumps(chain_schema(Catalog.discover()), indent=2, ensure_ascii=False))


@click.command()
@click.argument("chain")
def show(chain: str) -> None:
    """Draw CHAIN: its views, detectors, calibrations, thresholds and weights."""
    from d2f.chain.chain import load_chain
    from d2f.chain.show import draw

    loaded = load_chain(chain)
    print_drawing(draw(loaded))
    # That it is not fitted, the drawing says.
    print_problems(problem for problem in loaded.warnings if problem.code != "D2F127")


def print_drawing(lines: Sequence[Text]) -> None:
    """Print a drawing, in colour where stdout is a terminal that wants it."""
    if not wants_colour(sys.stdout):
        click.echo("\n".join(one.plain.rstrip() for one in lines))
        return
    from rich.console import Console
    from rich.text import Text

    Console(highlight=False, soft_wrap=True).print(Text("\n").join(lines))
