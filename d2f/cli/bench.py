"""`d2f bench`: what chains are worth on labelled images, under attacks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from d2f.data.dataset import Dataset


class BenchCommand(click.Command):
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
    from d2f.api.errors import Exit
    from d2f.bench.as_found import as_found
    from d2f.bench.grids import GridName, lay_out
    from d2f.bench.peers import read_peer
    from d2f.bench.report import terminal_lines
    from d2f.bench.result import Asked, result
    from d2f.bench.run import run_chains
    from d2f.bench.write import open_folder
    from d2f.chain.load import load_chain
    from d2f.cli.ticking import ticking
    from d2f.features import keeping

    mode = _mode(**options)
    loaded = [load_chain(chain) for chain in chains]
    grid: GridName = options["grid"] or ("none" if options["attacks"] else "core")
    laid = lay_out(grid, options["attacks"], loaded[0].catalog)
    images = _images(data, options["limit"], options["seed"])
    folder = Path(options["output"]) if options["output"] else None
    parts = open_folder(folder, mode) if folder else None
    with keeping(options["features"]), ticking("images", len(images)) as tick:
        run = run_chains(
            loaded,
            images,
            laid.attacks,
            options["protocol"],
            parts=parts,
            mode=mode,
            workers=options["workers"],
            tick=tick,
        )
    peers = [read_peer(path, run.joint) for path in options["scores"]]
    asked = Asked(
        options["protocol"],
        laid,
        options["only"] or "both",
        options["limit"],
        options["seed"],
        options["draws"],
        as_found=as_found(images, options["seed"]),
    )
    found = result(run, loaded, asked, peers)
    if folder:
        _write(folder, found, run, loaded, peers, options["thumbnails"])
    for line in terminal_lines(found):
        click.echo(line)
    if folder:
        click.echo(f"wrote {folder}")
    return Exit.SOME_FAILED if run.joint.unread or run.joint.failed else Exit.OK


def _mode(*, resume: bool, overwrite: bool, output: str | None, **_: Any) -> Any:
    if resume and overwrite:
        raise click.UsageError("--resume and --overwrite exclude each other")
    if (resume or overwrite) and not output:
        raise click.UsageError("--resume and --overwrite need -o")
    return "resume" if resume else "overwrite" if overwrite else "new"


def _images(data: str, limit: int | None, seed: int) -> Dataset:
    from d2f.data.dataset import load_dataset
    from d2f.data.limited import limited

    images = load_dataset(data)
    for note in images.notes:
        click.echo(f"note: {note}", err=True)
    return limited(images, limit, seed) if limit else images


def _write(folder: Path, found: dict[str, Any], run: Any, chains: Sequence[Any], peers: Any, thumbnails: bool) -> None:
    from d2f.bench.page.page import page
    from d2f.bench.report import markdown
    from d2f.bench.rows import write_rows
    from d2f.bench.write import HTML, JSON, MARKDOWN, ROWS, write_json, write_text

    write_rows(folder / ROWS, run, chains, peers)
    write_text(folder / MARKDOWN, markdown(found))
    write_text(folder / HTML, page(found, thumbnails))
    write_json(folder / JSON, found)
    run.finish()
