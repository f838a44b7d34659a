"""Command groups whose commands are imported when they are called."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, TypeAlias

import click

from d2f.api.errors import D2FError, Exit

Table: TypeAlias = Mapping[str, tuple[str, str]]
"""Of each command its ``module:object`` and one line of help."""


class LazyGroup(click.Group):
    """A group made of a table, so that ``--help`` imports none of its commands.

    Parameters
    ----------
    table : mapping of name to (str, str)
        Of each command ``module:object`` and its one line of help.
    """

    def __init__(self, *args: Any, table: Table, **more: Any) -> None:
        super().__init__(*args, **more)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands' names, in the table's order."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, None where the table has none of this name."""
        if cmd_name not in self.table:
            return None
        module, _, name = self.table[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands and their help, from the table alone."""
        if self.table:
            with formatter.section("Commands"):
                formatter.write_dl([(name, text) for name, (_, text) in self.table.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the group's own options; without any argument, show the help."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(Exit.USAGE)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name, or say what was probably meant."""
        name = args[0]
        command = self.get_command(ctx, name)
        if command is not None or ctx.resilient_parsing or name.startswith("-"):
            return (name, command, args[1:]) if command is not None else super().resolve_command(ctx, args)
        from d2f.api.nearest import did_you_mean

        notes = (*did_you_mean(name, self.list_commands(ctx)), f"to see all commands: {ctx.command_path} --help")
        raise D2FError.of("D2F001", f"'{ctx.command_path}' has no command '{name}'", *notes)
