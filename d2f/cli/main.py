"""The command line's door: which commands there are, and what becomes of what they raise."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from d2f.api.errors import D2FError
from d2f.cli.errors import print_problems
from d2f.cli.lazy import LazyGroup, Table
from d2f.cli.outcome import DEBUG, run
from d2f.cli.streams import fit_streams
from d2f.mlx_cpu.hook import claim_process
from d2f.version import __version__

COMMANDS: Table = {
    "chain": ("d2f.cli.chain:chain", "Run, check, show and fit chains."),
    "bench": ("d2f.cli.bench:bench", "Measure chains on labelled images, with intervals."),
    "attack": ("d2f.cli.attack:attack", "Lay preprocessors over images, such as wiener:window=7."),
    "train": ("d2f.cli.train:train", "Train a learned detector by a recipe."),
    "data": ("d2f.cli.data:data", "Know, cut, split and audit labelled images."),
    "weights": ("d2f.cli.weights:weights", "See, fetch and convert the weights of stages."),
    "doctor": ("d2f.cli.doctor:doctor", "Tell what is in force on this machine."),
    "plugin": ("d2f.cli.plugin:plugin", "See, diagnose and begin plugins and the stages they offer."),
}
"""Every command that is built: its module and object, and its line of help."""


class RootGroup(LazyGroup):
    """d2f's own commands, and those that other distributions add."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return d2f's own commands, then the others."""
        from d2f.cli.extra import extra_commands

        return [*self.table, *extra_commands(self.table)[0]]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; only the one that is called is imported."""
        if cmd_name in self.table:
            return super().get_command(ctx, cmd_name)
        from d2f.cli.extra import extra_commands, load_command

        found = extra_commands(self.table)[0].get(cmd_name)
        try:
            return load_command(*found) if found else None
        except D2FError:
            # A shell that completes a word has nobody to tell.
            if ctx.resilient_parsing:
                return None
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands and where the extra ones come from; warn of those that are refused."""
        from d2f.cli.extra import extra_commands

        super().format_commands(ctx, formatter)
        extra, refused = extra_commands(self.table)
        if extra:
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(name, f"from {origin.package}") for name, (origin, _) in extra.items()])
        print_problems(refused)


def _show_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"d2f {__version__}")
        ctx.exit()


@click.group(cls=RootGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of a bug (also: D2F_DEBUG=1).")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
def cli(debug: bool) -> None:
    """Tell AI-generated images from photographs by a chain of detectors."""
    if debug:
        # In the environment, so that worker processes are told too.
        os.environ[DEBUG] = "1"


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    args : sequence of str, optional
        Without the program's name; those of the process by default.

    Returns
    -------
    int
        One of `d2f.Exit`. A command says so by what it returns; None is 0.
    """
    if args is None:
        claim_process()
        fit_streams()
    if instruction := os.environ.get("_D2F_COMPLETE"):
        from click.shell_completion import shell_complete

        return shell_complete(cli, {}, "d2f", "_D2F_COMPLETE", instruction)
    return run(cli, list(sys.argv[1:] if args is None else args))
