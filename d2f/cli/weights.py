"""`d2f weights`: see them, fetch them, convert them."""

from __future__ import annotations

import click

from d2f.cli.lazy import LazyGroup

COMMANDS = {
    "list": ("d2f.cli.weights_list:list_", "Every stage's weights: source, sha256, licence, whether they are here."),
    "pull": ("d2f.cli.weights_pull:pull", "Fetch weights by name, or from a source of your own."),
    "convert": ("d2f.cli.weights_convert:convert", "Turn a PyTorch checkpoint, .npz or safetensors into weights."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def weights() -> None:
    """See, fetch and convert weights. Nothing is fetched unless `d2f weights pull` is called."""
