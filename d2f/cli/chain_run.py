"""`d2f chain run`: one verdict for every image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from d2f.cli.quantity import Quantity
from d2f.cli.remembering import RememberingCommand

if TYPE_CHECKING:
    from d2f.chain.chain import Chain

FORMATS = ("table", "jsonl", "csv", "parquet")


@click.command(cls=RememberingCommand)
@click.argument("chain")
@click.argument("images", nargs=-1, metavar="[IMAGE|DIR|GLOB|MANIFEST|-]...")
@click.option("-o", "--output", metavar="FILE", help="Write rows to FILE; its ending tells the format.")
@click.option("--format", type=click.Choice(FORMATS), help="Default: by FILE's ending; without FILE, table.")
@click.option("--resume", is_flag=True, help="Continue FILE where an earlier run of the same chain stopped.")
@click.option("--overwrite", is_flag=True, help="Replace FILE.")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Threads; rows do not depend on it.")
@click.option("--max-bytes", type=Quantity(), metavar="N", help="Refuse larger files. Default: 640Mi.")
@click.option("--max-pixels", type=Quantity(), metavar="N", help="Refuse larger images. Default: 128Mi.")
@click.option("-q", "--quiet", is_flag=True, help="No summary and no progress.")
@click.option("--progress/--no-progress", default=None, help="Default: where stderr is a terminal.")
@click.pass_context
def run(ctx: click.Context, /, chain: str, images: tuple[str, ...], **options: Any) -> int:
    """Score images with CHAIN, one row each.

    A folder is searched through all its levels for images. A manifest is a .csv or .parquet file with a column
    `path`, or a .txt with a path a line; - reads such lines from standard input. With nothing named, the images
    that the chain file names are taken.

    \b
    Exit code 0    every image was scored
              1    some image or some cell failed
              2    the command line or the chain file is wrong
              3    a plugin that the chain needs is broken
              130  interrupted; rows written so far can be continued with --resume
    """
    from d2f.engine.cores import one_blas_thread

    one_blas_thread()
    from d2f.chain.load import load_chain
    from d2f.cli.destination import Destination
    from d2f.cli.errors import print_problems
    from d2f.cli.run_rows import RunRows

    destination = Destination.of(options["output"], options["format"], options["resume"], options["overwrite"])
    loaded = load_chain(chain)
    print_problems(loaded.warnings)
    rows = RunRows(loaded, images or _named_in_file(loaded, chain), destination, options)
    return rows.finish(ctx)


def _named_in_file(loaded: Chain, chain: str) -> tuple[str, ...]:
    from d2f.api.errors import D2FError

    if not loaded.images:
        raise D2FError.of(
            "D2F003", f"no image was named, and chain '{loaded.name}' names none", f"d2f chain run {chain} FOLDER"
        )
    return loaded.images
