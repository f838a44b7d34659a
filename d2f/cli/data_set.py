"""A set named on the command line, read and looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from d2f.data.dataset import Dataset
    from d2f.data.inspection import Inspection


def read_set(data: str, limit: int | None = None, seed: int = 0) -> Dataset:
    """Read a labelled set and print what was assumed."""
    from d2f.data.dataset import load_dataset
    from d2f.data.limited import limited

    images = load_dataset(data)
    for note in images.notes:
        click.echo(f"note: {note}", err=True)
    return limited(images, limit, seed) if limit else images


def look_at(images: Dataset, decode: bool = False, workers: int | None = None) -> Inspection:
    """Look at every file with a progress bar; print the problems of those that cannot be read."""
    from d2f.api.errors import D2FError, Exit
    from d2f.cli.errors import print_problems
    from d2f.cli.ticking import ticking
    from d2f.data.inspection import inspect

    with ticking("reading", len(images)) as tick:
        seen = inspect(images, decode, workers or _workers(), tick)
    if not len(seen.images):
        raise D2FError(seen.problems, Exit.SOME_FAILED)
    print_problems(seen.problems)
    return seen


def _workers() -> int:
    from d2f.engine.cores import usable_cores

    return usable_cores()
