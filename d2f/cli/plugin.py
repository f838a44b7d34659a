"""`d2f plugin`: see what is there, diagnose what is broken."""

from __future__ import annotations

import click

from d2f.cli.lazy import LazyGroup

COMMANDS = {
    "list": ("d2f.cli.plugin_list:list_", "Every stage, where it comes from and its options."),
    "check": ("d2f.cli.plugin_check:check", "Diagnose a plugin, a distribution or a stage."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def plugin() -> None:
    """See and diagnose plugins and the stages they offer."""
