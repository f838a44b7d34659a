"""Commands that other distributions add, in the entry-point group ``d2f.commands``.

Their names come from metadata; their code is loaded when they are called.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import click

from d2f.api.errors import D2FError, Exit, Problem
from d2f.api.hooks import COMMANDS_GROUP
from d2f.plugins.entry_points import Origin, found

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


def extra_commands(
    built_in: Collection[str],
) -> tuple[dict[str, tuple[Origin, EntryPoint]], list[Problem]]:
    """Return the extra commands by name, and a warning for each whose name is taken.

    Parameters
    ----------
    built_in : collection of str
        Names of d2f's own commands, which nothing may shadow.
    """
    commands: dict[str, tuple[Origin, EntryPoint]] = {}
    refused = []
    for origin, entry_point in found(COMMANDS_GROUP):
        name = origin.entry_point
        if name in built_in or name in commands:
            keeper = "is d2f's own" if name in built_in else f"is taken by {commands[name][0].package}"
            refused.append(_refused(origin, f"command '{name}' is refused: the name {keeper}"))
        else:
            commands[name] = origin, entry_point
    return commands, refused


def load_command(origin: Origin, entry_point: EntryPoint) -> click.Command:
    """Import an extra command.

    Raises
    ------
    D2FError
        D2F201, exit code 3: it cannot be imported, or is no click command.
    """
    from d2f.plugins.faults import raised

    asked = f"command '{origin.entry_point}' is not usable"
    try:
        command = entry_point.load()
    except (Exception, SystemExit) as error:
        raise D2FError(raised("D2F201", f"{asked}: it failed to load", origin, error).problem, Exit.PLUGIN) from error
    if not isinstance(command, click.Command):
        message = f"{asked}: it is no click command but {command!r:.60}"
        raise D2FError(Problem("D2F201", message, origin.place), Exit.PLUGIN)
    return command


def _refused(origin: Origin, message: str) -> Problem:
    return Problem("D2F204", message, origin.place, severity="warning")
