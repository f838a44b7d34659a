"""`d2f attack`: preprocessors laid over files, to see what a detector makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from d2f.cli.attack_formats import FORMATS, Format, by_suffix, write_image

if TYPE_CHECKING:
    from d2f.api.errors import Problem
    from d2f.engine.plan import Step


@click.command()
@click.argument("spec")
@click.argument("paths", nargs=-1, required=True, metavar="IN... OUT")
@click.option(
    "--format", "name", type=click.Choice(list(FORMATS)), default="png", show_default=True, help="Of files in a folder."
)
@click.option("--overwrite", is_flag=True, help="Replace files that are there already.")
def attack(spec: str, paths: tuple[str, ...], name: str, overwrite: bool) -> int:
    """Lay preprocessors over images, pixel for pixel as a view of a chain would.

    SPEC joins steps by +, and a step's options by commas: wiener:window=7, wiener:7+noise:sigma=2,
    jpeg:60,subsampling=4:4:4. `d2f plugin list` shows every preprocessor and its options.

    IN is a file, a folder, a glob or a manifest. One file goes to the file OUT, in the format of its suffix; all
    else goes below the folder OUT, as it lay below IN. Metadata is dropped.
    """
    from d2f.api.errors import D2FError, Exit
    from d2f.cli.attack_targets import is_one_file, targets
    from d2f.cli.errors import print_problems
    from d2f.engine.spec import parse_spec
    from d2f.plugins.catalog import Catalog

    *sources, out = paths
    if not sources:
        raise D2FError.of("D2F001", "OUT is missing", "usage: d2f attack SPEC IN... OUT")
    steps = parse_spec(spec, Catalog.discover())
    one = is_one_file(sources, out)
    pairs = iter([(sources[0], out)]) if one else targets(sources, out, FORMATS[name].suffixes[0])
    _load(steps)
    _warn_of_loss((by_suffix(out) if one else None) or FORMATS[name])
    written, problems = _lay_over(steps, pairs, overwrite)
    print_problems(problems)
    click.echo(f"{written} {'image' if written == 1 else 'images'} written to {out}", err=True)
    return Exit.SOME_FAILED if problems else Exit.OK


def _lay_over(steps: Sequence[Step], pairs: Iterator[tuple[str, str]], overwrite: bool) -> tuple[int, list[Problem]]:
    """Return how many images were written, and the problems of the others."""
    from d2f.api.errors import D2FError, Exit
    from d2f.engine.apply import apply_steps
    from d2f.reading.image import read_image

    made: dict[str, str] = {}
    problems: list[Problem] = []
    for path, target in pairs:
        try:
            if target in made:
                message = f"{path}: '{target}' was made of '{made[target]}'"
                raise D2FError.of("D2F004", message, "attack them into different folders", exit=Exit.SOME_FAILED)
            write_image(apply_steps(read_image(path), steps), target, overwrite)
            made[target] = path
        except D2FError as error:
            problems += error.problems
    return len(made), problems


def _load(steps: Sequence[Step]) -> None:
    from d2f.api.errors import D2FError, Exit
    from d2f.engine.loading import load_stages
    from d2f.engine.plan import Plan

    for reason in load_stages(Plan("attack", "", {"attack": tuple(steps)}, ())).values():
        raise D2FError.of("D2F502", reason, exit=Exit.PLUGIN)


def _warn_of_loss(format: Format) -> None:
    from d2f.api.errors import Problem
    from d2f.cli.errors import print_problems

    if not format.lossless:
        message = f"{format.pillow} does not keep pixels as they are: its encoder adds a laundering of its own"
        print_problems([Problem("D2F007", message, notes=("PNG keeps them",), severity="warning")])
