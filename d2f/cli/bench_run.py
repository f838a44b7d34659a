"""The bench at work: what it reads, runs, writes and prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import click

from d2f.api.errors import Exit
from d2f.bench.as_found import as_found
from d2f.bench.asked import Asked
from d2f.bench.grids import Laid, lay_out
from d2f.bench.page.page import page
from d2f.bench.peers import read_peer
from d2f.bench.report import markdown, terminal_lines
from d2f.bench.result import result
from d2f.bench.rows import write_rows
from d2f.bench.run import Run, run_chains
from d2f.bench.subject import Laying, Subject
from d2f.bench.write import HTML, JSON, MARKDOWN, ROWS, open_folder, write_json, write_text
from d2f.chain.chain import Chain
from d2f.chain.load import load_chain
from d2f.cli.interruption import Interruption
from d2f.cli.remembering import called_with
from d2f.cli.ticking import ticking
from d2f.data.dataset import Dataset, load_dataset
from d2f.data.limited import limited
from d2f.features import keeping


def run_bench(ctx: click.Context, names: Sequence[str], data: str, **options: Any) -> int:
    """Run `d2f bench` with its options; return the exit code."""
    mode = _mode(**options)
    chains = [load_chain(name) for name in names]
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
    with keeping(options["features"]), ticking("images", len(images)) as tick:
        return run_chains(
            chains,
            images,
            laid.attacks,
            options["protocol"],
            parts=parts,
            mode=mode,
            workers=options["workers"],
            tick=tick,
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
