"""`d2f data stats`: what a set consists of."""

from __future__ import annotations

import json

import click


@click.command()
@click.argument("data")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
@click.option("--plot", metavar="FILE.png", help="Draw labels and generators before and after balancing.")
@click.option(
    "--balance",
    type=click.Choice(["smallest", "oversample", "none"]),
    default="smallest",
    show_default=True,
    help="What `after balancing` means.",
)
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="Values named of each kind.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the balancing.")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Threads that read files.")
def stats(data: str, as_json: bool, plot: str | None, balance: str, top: int, seed: int, workers: int | None) -> int:
    """Count the images of DATA by label, generator, source, collection, size, format and JPEG quality.

    Only headers are read. The quality of a JPEG is that of the nearest standard quantisation tables. Exit code 1
    where a file cannot be read.
    """
    from d2f.api.errors import Exit
    from d2f.cli.data_set import look_at, read_set
    from d2f.data.stats import stats as count
    from d2f.data.stats_lines import stats_lines

    images = read_set(data)
    seen = look_at(images, workers=workers)
    found = count(seen, balance, seed)  # type: ignore[arg-type]
    if plot is not None:
        from d2f.data.stats_plot import plot_stats

        plot_stats(found, plot)
    if as_json:
        click.echo(json.dumps(found.plain(), ensure_ascii=False, indent=1))
    else:
        click.echo("\n".join([seen.images.describe(), *stats_lines(found, top)]))
    return Exit.SOME_FAILED if seen.problems else Exit.OK
