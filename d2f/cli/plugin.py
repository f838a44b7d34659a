"""`d2f plugin`: see what is there, diagnose what is broken, begin a new one."""

from __future__ import annotations

import click

from d2f.cli.lazy import LazyGroup

COMMANDS = {
    "list": ("d2f.cli.plugin_list:list_", "Every stage, where it comes from and its options."),
    "new": ("d2f.cli.plugin_new:new", "Write a small, complete plugin to begin with."),
    "check": ("d2f.cli.plugin_check:check", "Diagnose a plugin, a distribution or a stage."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def plugin() -> None:
    """See, diagnose and begin plugins and the stages they offer."""
