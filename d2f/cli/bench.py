"""The bench at work: what it reads, runs, writes and prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import click

from d2f.api.errors import Exit
from d2f.api.inputs import PROTOCOLS
from d2f.chain.chain import Chain, load_chain
from d2f.cli.main import Interruption, RememberingCommand, called_with
from d2f.cli.options import ALLOW_MISSING
from d2f.data.dataset import Dataset, limited, load_dataset
from d2f.evaluate.bench import Asked, Run, result, run_chains, write_rows
from d2f.evaluate.bench_report import (
    HTML,
    JSON,
    MARKDOWN,
    ROWS,
    markdown,
    open_folder,
    terminal_lines,
    write_json,
    write_text,
)
from d2f.evaluate.bench_systems import Laid, Laying, Subject, as_found, lay_out
from d2f.evaluate.external import read_peer
from d2f.features import keeping
from d2f.progress import Progress
from d2f.report.page import page


class BenchCommand(RememberingCommand):
    """The bench itself, and `compare` where that is the first word."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Hand `compare` its arguments."""
        if args[:1] == ["compare"]:
            return compare.make_context(f"{info_name} compare", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command(cls=BenchCommand, epilog="Two results are compared by `d2f bench compare OLD NEW`.")
@click.argument("chains", metavar="CHAIN...", nargs=-1, required=True)
@click.option("--data", required=True, metavar="DIR", help="Labelled images: a folder or a manifest.")
@click.option("-o", "--output", metavar="DIR", help="Write bench.json, rows.parquet, report.md and report.html there.")
@click.option(
    "--protocol",
    type=click.Choice(PROTOCOLS),
    default="whole",
    show_default=True,
    help="whole: short side brought to a drawn length; crop: the centre 320 pixels; as-found: files as they came.",
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
@ALLOW_MISSING
def bench(chains: tuple[str, ...], data: str, **options: Any) -> int:
    """Run each CHAIN over labelled images, clean and under attacks; print its figures with intervals.

    Exit code 1 where an image, a copy or a member failed.
    """
    from d2f.cores import one_blas_thread

    one_blas_thread()

    return run_bench(click.get_current_context(), chains, data, **options)


@click.command()
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@click.option(
    "--figure",
    "figures",
    multiple=True,
    default=["auc"],
    show_default=True,
    metavar="NAME",
    help="Figure to hold, such as auc, tpr_at_5, ece, evasion; may be repeated.",
)
@click.option("--all", "show_all", is_flag=True, help="Print what has not fallen too.")
def compare(old: str, new: str, figures: tuple[str, ...], show_all: bool) -> int:
    """Compare two results of `d2f bench … -o DIR`, each a folder or its bench.json.

    A figure has fallen where it is worse now than the bad end of its old interval. Exit code 1 if any has.
    """
    from d2f.api.errors import Exit
    from d2f.evaluate.bench_report import read_result
    from d2f.evaluate.compare import compare_results
    from d2f.evaluate.figures import text_table

    found = compare_results(read_result(old), read_result(new), figures)
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)
    fallen = [change for change in found.changes if change.fell]
    shown = found.changes if show_all else fallen
    rows = [
        (
            f"{one.subject}, {one.attack}",
            one.figure,
            f"{one.old:.3f}",
            "" if one.bound is None else f"{one.bound:.3f}",
            f"{one.new:.3f}",
            "fell" if one.fell else "",
        )
        for one in shown
    ]
    if rows:
        click.echo("\n".join(text_table(("chain, attack", "figure", "old", "bound", "new", ""), rows)))
    click.echo(f"{len(fallen)} of {len(found.changes)} figures fell by more than their interval")
    return Exit.SOME_FAILED if fallen else Exit.OK


def run_bench(ctx: click.Context, names: Sequence[str], data: str, **options: Any) -> int:
    """Run `d2f bench` with its options; return the exit code."""
    mode = _mode(**options)
    chains = [load_chain(name, allow_missing=options["allow_missing"]) for name in names]
    laid = lay_out(options["grid"] or ("none" if options["attacks"] else "core"), options["attacks"], chains[0].catalog)
    images = _images(data, options["limit"], options["seed"])
    folder = Path(options["output"]) if options["output"] else None
    parts = open_folder(folder, mode) if folder else None
    with Interruption() as interruption:
        try:
            run = _scored(chains, images, laid, parts, mode, **options)
        except KeyboardInterrupt:
            click.echo(_how_to_go_on(ctx, folder), err=True)
            return interruption.exit_code
    _report(run, chains, laid, folder, as_found(images, options["seed"]), **options)
    return Exit.SOME_FAILED if run.joint.unread or run.joint.failed else Exit.OK


def _mode(*, resume: bool, overwrite: bool, output: str | None, **_: Any) -> Literal["new", "overwrite", "resume"]:
    if resume and overwrite:
        raise click.UsageError("--resume and --overwrite exclude each other")
    if (resume or overwrite) and not output:
        raise click.UsageError("--resume and --overwrite need -o")
    return "resume" if resume else "overwrite" if overwrite else "new"


def _images(data: str, limit: int | None, seed: int) -> Dataset:
    images = load_dataset(data)
    for note in images.notes:
        click.echo(f"note: {note}", err=True)
    return limited(images, limit, seed) if limit else images


def _scored(chains: Sequence[Chain], images: Dataset, laid: Laid, parts: Path | None, mode: Any, **options: Any) -> Run:
    with keeping(options["features"]), Progress("images", total=len(images)) as progress:
        return run_chains(
            chains,
            images,
            laid.attacks,
            options["protocol"],
            parts=parts,
            mode=mode,
            workers=options["workers"],
            tick=progress.advance,
        )


def _how_to_go_on(ctx: click.Context, folder: Path | None) -> str:
    if folder is None:
        return "interrupted; a bench with -o DIR can be continued later, with --resume"
    return f"interrupted; to continue: {called_with(ctx, '--resume', without=['--overwrite'])}"


def _report(
    run: Run, chains: Sequence[Chain], laid: Laid, folder: Path | None, found_as: Sequence[str], **options: Any
) -> None:
    peers = [read_peer(path, run.joint) for path in options["scores"]]
    over: Laying = options["only"] or "both"
    seed, draws = options["seed"], options["draws"]
    asked = Asked(options["protocol"], laid, over, options["limit"], seed, draws, as_found=found_as)
    found = result(run, chains, asked, peers)
    if folder:
        _write(folder, found, run, chains, peers, options["thumbnails"])
    for line in terminal_lines(found):
        click.echo(line)
    if folder:
        click.echo(f"wrote {folder}")


def _write(
    folder: Path, found: dict[str, Any], run: Run, chains: Sequence[Chain], peers: Sequence[Subject], thumbnails: bool
) -> None:
    write_rows(folder / ROWS, run, chains, peers)
    write_text(folder / MARKDOWN, markdown(found))
    write_text(folder / HTML, page(found, thumbnails))
    write_json(folder / JSON, found)
    run.finish()
