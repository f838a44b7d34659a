"""`d2f chain fit`: calibration, combination and thresholds learned from labelled images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from d2f.data.dataset import Dataset


@click.command()
@click.argument("chain")
@click.option("--data", required=True, metavar="DIR", help="Labelled images: a folder or a manifest.")
@click.option("-o", "--output", required=True, metavar="FILE", help="Where the fitted chain file goes.")
@click.option("--overwrite", is_flag=True, help="Replace FILE.")
@click.option("--attack", "attacks", multiple=True, metavar="SPEC", help="A laundered copy to add; may be repeated.")
@click.option("--no-attack", is_flag=True, help="Add no laundered copies.")
@click.option("--part", type=click.Choice(["all", "chains", "weights"]), default="all", help="Of the project's split.")
@click.option("--only", type=click.Choice(["thresholds"]), help="Re-fit these and leave the rest as it is.")
@click.option("--protocol", type=click.Choice(["matched", "as-is"]), help="How images are brought alike.")
@click.option("--calibrator", default="platt", show_default=True, help="For cells for which the file names none.")
@click.option("--folds", type=click.IntRange(3, 50), default=5, show_default=True, help="Folds of cross-validation.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of crops, qualities and folds.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Take N images only, seeded and stratified.")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Threads; the result does not depend on it.")
@click.option("--keep-scores", metavar="FILE", help="Keep scores there as they come; a later fit reads them back.")
@click.option("--features", metavar="FILE", help="Keep expensive features there, as `d2f bench` does.")
@click.option("--allow-overlap", is_flag=True, help="Let in images that the weights were trained on.")
def fit(chain: str, data: str, output: str, overwrite: bool, only: str | None, **options: Any) -> int:
    """Fit CHAIN to labelled images and write it anew.

    Every image counts as it is brought and under each attack. Folds never cut through a collection. Exit code 1
    where an image, a copy or a cell failed; the chain is fitted to the others.
    """
    from d2f.engine.cores import one_blas_thread

    one_blas_thread()
    from d2f.api.errors import Exit
    from d2f.chain.load import load_chain
    from d2f.cli.ticking import ticking
    from d2f.features import keeping
    from d2f.fitting.fit import fit_chain
    from d2f.fitting.only_thresholds import fit_only_thresholds
    from d2f.fitting.report import fit_lines, threshold_fit_lines

    _need_writable(output, overwrite)
    loaded = load_chain(chain, refit=only is None)
    images = _images(data, **options)
    with keeping(options["features"]), ticking("scoring", len(images)) as tick, _told(options["keep_scores"]):
        request = _request(only, tick, **options)
        found = fit_only_thresholds(loaded, images, request) if only else fit_chain(loaded, images, request)
    _write(output, found.text)
    lines = threshold_fit_lines(found) if only else fit_lines(found)  # type: ignore[arg-type]
    for line in lines:
        click.echo(line)
    click.echo(f"wrote {output}")
    return Exit.SOME_FAILED if found.table.unread or found.table.failed else Exit.OK


@contextmanager
def _told(kept: str | None) -> Iterator[None]:
    """Say how to go on where a run that keeps its scores is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        if kept is not None:
            click.echo(f"scores so far are kept in {kept}: the same command goes on from there", err=True)
        raise


def _request(only: str | None, tick: Any, **options: Any) -> Any:
    from d2f.fitting.request import ATTACKS, Request

    if options["no_attack"] and options["attacks"]:
        raise click.UsageError("--attack and --no-attack exclude each other")
    default = () if only or options["no_attack"] else ATTACKS
    return Request(
        attacks=tuple(options["attacks"]) or default,
        # A user's own threshold is for files as they come in, a whole fit for what tells classes apart.
        protocol=options["protocol"] or ("as-is" if only else "matched"),
        folds=options["folds"],
        seed=options["seed"],
        calibrator=options["calibrator"],
        allow_overlap=options["allow_overlap"],
        workers=options["workers"],
        keep_scores=options["keep_scores"],
        tick=tick,
    )


def _images(data: str, **options: Any) -> Dataset:
    from d2f.data.dataset import load_dataset
    from d2f.data.limited import limited
    from d2f.data.split import shipped_split

    images = load_dataset(data)
    for note in images.notes:
        click.echo(f"note: {note}", err=True)
    if options["part"] != "all":
        split = shipped_split(images)
        if split.unlisted:
            first, count = split.unlisted[0], len(split.unlisted)
            click.echo(f"note: {count} collections are not in the list, such as '{first}': by a hash", err=True)
        images = getattr(split, options["part"])
    return limited(images, options["limit"], options["seed"]) if options["limit"] else images


def _need_writable(output: str, overwrite: bool) -> None:
    """Refuse an output that cannot be written, or that is there, before the long work, not after it."""
    from d2f.api.errors import D2FError
    from d2f.cli.new_output import need_new_file

    need_new_file(output, overwrite)
    folder = os.path.dirname(output) or "."
    if not os.path.isdir(folder):
        raise D2FError.of("D2F004", f"'{output}' cannot be written: its folder is not there", "make it with mkdir -p")
    if not os.access(output if os.path.exists(output) else folder, os.W_OK):
        raise D2FError.of("D2F004", f"'{output}' cannot be written: it is not allowed", "choose another file with -o")


def _write(output: str, text: str) -> None:
    from d2f.api.errors import D2FError

    try:
        with open(output, "w", encoding="utf-8", newline="") as file:
            file.write(text)
    except OSError as error:
        raise D2FError.of("D2F004", f"'{output}' cannot be written: {error.strerror}") from error
