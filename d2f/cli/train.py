"""`d2f train RECIPE` and its commands: the group, and what runs where no command is named."""

from __future__ import annotations

import click

from d2f.cli.lazy import LazyGroup, Table

COMMANDS: Table = {
    "run": ("d2f.cli.train_run:run", "Train by one recipe; `d2f train RECIPE` is short for it."),
    "kfold": ("d2f.cli.train_study:kfold", "Train once for each fold, and average."),
    "sweep": ("d2f.cli.train_study:sweep", "Train with other values of a recipe's keys."),
    "ablate": ("d2f.cli.train_study:ablate", "Train without one thing at a time."),
}


class TrainGroup(LazyGroup):
    """A group whose first word may be a recipe."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a first word that is none is a recipe for `run`."""
        if args[0] not in self.table and not ctx.resilient_parsing:
            args = ["run", *args]
        return super().resolve_command(ctx, args)


@click.group(
    cls=TrainGroup,
    table=COMMANDS,
    context_settings={"ignore_unknown_options": True},
    subcommand_metavar="RECIPE | COMMAND [ARGS]...",
)
def train() -> None:
    """Train a detector's weights by a recipe, a YAML file that names a trainable.

    `d2f train RECIPE -o FILE.safetensors` trains and measures; what a recipe may say is in the reference.
    """
