"""`d2f bench`: what chains are worth on labelled images, under attacks."""

from __future__ import annotations

from typing import Any

import click

from d2f.cli.remembering import RememberingCommand


class BenchCommand(RememberingCommand):
    """The bench itself, and `compare` where that is the first word."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Hand `compare` its arguments."""
        if args[:1] == ["compare"]:
            from d2f.cli.bench_compare import compare

            return compare.make_context(f"{info_name} compare", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command(cls=BenchCommand, epilog="Two results are compared by `d2f bench compare OLD NEW`.")
@click.argument("chains", metavar="CHAIN...", nargs=-1, required=True)
@click.option("--data", required=True, metavar="DIR", help="Labelled images: a folder or a manifest.")
@click.option("-o", "--output", metavar="DIR", help="Write bench.json, rows.parquet, report.md and report.html there.")
@click.option(
    "--protocol",
    type=click.Choice(["matched", "as-is"]),
    default="matched",
    show_default=True,
    help="matched: the centre 320 pixels, encoded alike; as-is: files as they came.",
)
@click.option(
    "--grid",
    type=click.Choice(["core", "full", "none"]),
    help="Attacks: the 8 that decide targets, 26 for publication, or none but --attack's.  "
    "[default: core; none with --attack]",
)
@click.option("--attack", "attacks", multiple=True, metavar="SPEC", help="Measure under it too; may be repeated.")
@click.option(
    "--only", type=click.Choice(["generated", "real"]), help="Lay attacks over one class only, in every figure."
)
@click.option("--scores", multiple=True, metavar="CSV", help="Another tool's results: path, score[, attack].")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Take N images only, seeded and stratified.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of --limit and of the intervals.")
@click.option("--draws", type=click.IntRange(20), default=1000, show_default=True, help="Bootstrap draws.")
@click.option("--resume", is_flag=True, help="Continue a run that was stopped, in the same folder.")
@click.option("--overwrite", is_flag=True, help="Replace what the folder holds.")
@click.option("--features", metavar="FILE", help="Keep expensive features there; a later bench reads them back.")
@click.option("--thumbnails", is_flag=True, help="Show the images whose verdict flips in report.html.")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Threads; the figures do not depend on it.")
def bench(chains: tuple[str, ...], data: str, **options: Any) -> int:
    """Run each CHAIN over labelled images, clean and under attacks; print its figures with intervals.

    Exit code 1 where an image, a copy or a cell failed.
    """
    from d2f.engine.cores import one_blas_thread

    one_blas_thread()
    from d2f.cli.bench_run import run_bench

    return run_bench(click.get_current_context(), chains, data, **options)
