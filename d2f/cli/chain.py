"""`d2f chain`: run, check and understand chains."""

from __future__ import annotations

import click

from d2f.cli.lazy import LazyGroup, Table

COMMANDS: Table = {
    "run": ("d2f.cli.chain_run:run", "Score images: one verdict each."),
    "check": ("d2f.cli.chain_check:check", "Find every problem of a chain file."),
    "show": ("d2f.cli.chain_show:show", "Draw a chain: stages, views, calibrations, weights."),
    "fit": ("d2f.cli.chain_fit:fit", "Learn calibration, combination and thresholds from labelled images."),
    "ablate": ("d2f.cli.chain_ablate:ablate", "See what each detector, view and cell adds, and keep what does."),
    "schema": ("d2f.cli.chain_schema:schema", "Print the JSON schema of chain files, for editors."),
}
"""Every command that is built: its module and object, and its line of help."""


@click.group(cls=LazyGroup, table=COMMANDS)
def chain() -> None:
    """Work with chains: detectors over views, combined into one verdict.

    CHAIN is the path of a chain file or the name of a chain that ships with d2f.
    """
