"""`d2f chain show`: a chain drawn for a person."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from d2f.chain.drawing import Line


@click.command()
@click.argument("chain")
def show(chain: str) -> None:
    """Draw CHAIN: its views, detectors, calibrations, thresholds and weights."""
    from d2f.chain.load import load_chain
    from d2f.chain.show import draw
    from d2f.cli.errors import print_problems

    loaded = load_chain(chain)
    print_drawing(draw(loaded))
    # That it is not fitted, the drawing says.
    print_problems(problem for problem in loaded.warnings if problem.code != "D2F127")


def print_drawing(lines: Sequence[Line]) -> None:
    """Print a drawing, in colour where stdout is a terminal that wants it."""
    from d2f.chain.drawing import plain
    from d2f.cli.errors import wants_colour

    if not wants_colour(sys.stdout):
        click.echo(plain(lines))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for one in lines:
        console.print(Text.assemble(*((ink.text, ink.style) for ink in one)))
