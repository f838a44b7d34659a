"""A broken plugin that nobody asked for costs one line."""

from __future__ import annotations

import sys
from collections.abc import Collection

import click

from d2f.api.errors import Problem


def print_notices(told: Collection[Problem] = ()) -> None:
    """Print one line on stderr for each problem of a plugin that was discovered and is not among `told`."""
    # Where no command has asked for plugins, none is loaded now.
    module = sys.modules.get("d2f.plugins.catalog")
    catalog = module.Catalog.discovered() if module is not None else None
    places = {problem.place for problem in told if problem.place is not None}
    for problem in catalog.problems if catalog is not None else ():
        if problem.place is None or problem.place not in places:
            click.echo(one_line(problem), err=True)


def one_line(problem: Problem) -> str:
    """Return a problem in one line: what it is, where, and the command that tells more."""
    where = f"  --> {problem.place.file}" if problem.place is not None else ""
    return f"warning[{problem.code}]: {problem.message}{where}  = see: d2f plugin list"
