"""`d2f data`: know, cut, split and audit labelled images."""

from __future__ import annotations

import click

from d2f.cli.lazy import LazyGroup, Table

COMMANDS: Table = {
    "stats": ("d2f.cli.data_stats:stats", "Count images by label, generator, size, format, quality."),
    "tile": ("d2f.cli.data_tile:tile", "Cut large pictures into tiles."),
    "split": ("d2f.cli.data_split:split", "Deal images to train, validation and test, or to folds."),
    "audit": ("d2f.cli.data_audit:audit", "Ask whether format, size or quality give the label away."),
}
"""Every command that is built: its module and object, and its line of help."""


@click.group(cls=LazyGroup, table=COMMANDS)
def data() -> None:
    """Know, cut, split and audit labelled images.

    DATA is a folder (real/**, generated/GENERATOR/**) or a manifest with the columns path and label.
    """
