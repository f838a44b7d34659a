"""A command that can tell how it was called."""

from __future__ import annotations

import shlex
from collections.abc import Collection

import click

KEY = "d2f.cli.remembering"


class RememberingCommand(click.Command):
    """Keeps its arguments as they were given."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the arguments, then parse them."""
        ctx.meta[KEY] = tuple(args)
        return super().parse_args(ctx, args)


def called_with(ctx: click.Context, more: str, without: Collection[str] = ()) -> str:
    """Return the command line for a shell, with the flag `more` added and the flags `without` left out."""
    kept = [argument for argument in ctx.meta[KEY] if argument not in {more, *without}]
    # After "--" a flag would be taken for an image.
    arguments = [more, *kept] if "--" in kept else [*kept, more]
    return shlex.join([*ctx.command_path.split(), *arguments])
