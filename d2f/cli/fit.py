"""`d2f chain fit`, `d2f chain ablate` and `d2f calibrate`: chains fitted to labelled images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from d2f.api.errors import D2FError, Exit
from d2f.api.inputs import PROTOCOLS, ProtocolName
from d2f.cli.options import (
    ALLOW_MISSING,
    CACHE,
    DATA,
    DRAWS,
    WORKERS,
    FittingOptions,
    fitting_options,
    labels_option,
    read_set,
    resumable_cache,
)
from d2f.cores import one_blas_thread
from d2f.files import require_new_file, write_whole
from d2f.progress import Progress

if TYPE_CHECKING:
    from d2f.data.dataset import Dataset


@click.command()
@click.argument("chain")
@DATA
@click.option("-o", "--output", required=True, metavar="FILE", help="Where the fitted chain file goes.")
@click.option("--overwrite", is_flag=True, help="Replace FILE.")
@click.option("--thresholds-only", is_flag=True, help="Re-fit the thresholds and leave the rest as it is.")
@click.option("--name", default="", help="The fitted chain's name.  [default: the chain's; FILE's for thresholds]")
@fitting_options
def fit(
    chain: str, data: str, output: str, overwrite: bool, thresholds_only: bool, name: str, options: FittingOptions
) -> int:
    """Fit CHAIN to labelled images and write it anew.

    Every image counts clean and under each attack. Folds never cut through a collection. Exit code 1
    where an image, a copy or a member failed; the chain is fitted to the others.
    """
    one_blas_thread()

    from d2f.chain.chain import load_chain
    from d2f.evaluate.fit import Fit, chain_name, fit_chain, fit_thresholds_only
    from d2f.evaluate.fit_report import fit_lines, threshold_fit_lines

    require_new_file(output, overwrite)
    loaded = load_chain(chain, refit=not thresholds_only, allow_missing=options.allow_missing)
    images = options.images(data)
    if thresholds_only and not name:
        stem = chain_name(Path(output).stem, loaded.name)
        name = stem if stem != loaded.name else ""
    with resumable_cache(options.cache) as cache, Progress("scoring", total=len(images)) as progress:
        request = options.request(cache, progress.advance, thresholds_only, name)
        found = (fit_thresholds_only if thresholds_only else fit_chain)(loaded, images, request)
    write_whole(output, found.text)
    for line in fit_lines(found) if isinstance(found, Fit) else threshold_fit_lines(found):
        click.echo(line)
    click.echo(f"wrote {output}")
    return Exit.SOME_FAILED if found.table.unread or found.table.failed else Exit.OK


SUFFIXES = (".md", ".json")


@click.command()
@click.argument("chain")
@DATA
@click.option("-o", "--output", metavar="FILE", help="Write every figure there: FILE.md or FILE.json.")
@click.option("--overwrite", is_flag=True, help="Replace FILE.")
@DRAWS
@fitting_options
def ablate(chain: str, data: str, output: str | None, overwrite: bool, draws: int, options: FittingOptions) -> int:
    """Fit CHAIN out of fold with everything, then without each detector, view and member; print what each adds.

    What adds nothing clean or at the worst attack costs time and buys nothing. Folds never cut through a collection.
    Exit code 1 where an image, a copy or a member failed.
    """
    one_blas_thread()

    from d2f.chain.chain import load_chain
    from d2f.evaluate.ablate import ablate_chain, ablation_lines, ablation_markdown, ablation_result

    if output is not None:
        if not output.endswith(SUFFIXES):
            raise click.UsageError(f"-o expects a file that ends in {' or '.join(SUFFIXES)}")
        require_new_file(output, overwrite)
    loaded = load_chain(chain, refit=True, allow_missing=options.allow_missing)
    images = options.images(data)
    with resumable_cache(options.cache) as cache, Progress("scoring", total=len(images)) as progress:
        found = ablate_chain(loaded, images, options.request(cache, progress.advance), draws)
    for line in ablation_lines(found):
        click.echo(line)
    if output is not None:
        plain = json.dumps(ablation_result(found), indent=1, ensure_ascii=False) + "\n"
        write_whole(output, plain if output.endswith(".json") else ablation_markdown(found))
        click.echo(f"wrote {output}")
    return Exit.SOME_FAILED if found.table.unread or found.table.failed else Exit.OK


@click.command()
@click.argument("chain")
@click.argument("data", metavar="DIR")
@click.option("-o", "--output", required=True, metavar="FILE", help="Where the calibrated chain file goes.")
@click.option("--overwrite", is_flag=True, help="Replace FILE.")
@click.option(
    "--share",
    type=click.FloatRange(0.0, 1.0, min_open=True, max_open=True),
    metavar="S",
    help="DIR has no labels; so many of its images are generated, such as 0.5.",
)
@click.option(
    "--protocol",
    type=click.Choice(PROTOCOLS),
    default="as-found",
    show_default=True,
    help="What images go through first.",
)
@click.option("--name", default="", help="The new chain's name.  [default: FILE's]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the intervals.")
@WORKERS
@CACHE
@labels_option
@ALLOW_MISSING
def calibrate(
    chain: str,
    data: str,
    output: str,
    overwrite: bool,
    share: float | None,
    protocol: ProtocolName,
    name: str,
    seed: int,
    workers: int | None,
    cache: str | None,
    labels: Mapping[str, str],
    allow_missing: bool,
) -> int:
    """Adapt a fitted CHAIN to 20 to 200 images of your own, by a shift of its log-likelihood ratio.

    DIR is a folder or manifest of labelled images; with --share a folder without labels. Prints what the shift gains
    on images that were left out of it, with intervals. Exit code 1 where an image or a member failed.
    """
    one_blas_thread()

    from d2f.chain.chain import load_chain
    from d2f.evaluate.calibrate import calibrate as calibrated
    from d2f.evaluate.calibrate import calibrated_lines
    from d2f.evaluate.fit import FitRequest, chain_name
    from d2f.evaluate.fit_report import failure_lines

    require_new_file(output, overwrite)
    loaded = load_chain(chain, allow_missing=allow_missing)
    images = read_set(data, labels=labels) if share is None else _without_labels(data)
    named = name or chain_name(Path(output).stem, f"{loaded.name}-own")
    with resumable_cache(cache) as opened, Progress("scoring", total=len(images)) as progress:
        request = FitRequest(
            attacks=(), protocol=protocol, seed=seed, name=named, workers=workers, cache=opened, tick=progress.advance
        )
        found = calibrated(loaded, images, request, share)
    write_whole(output, found.text)
    for line in (*calibrated_lines(found), *failure_lines(found.table)):
        click.echo(line)
    click.echo(f"wrote {output}")
    return Exit.SOME_FAILED if found.table.unread or found.table.failed else Exit.OK


def _without_labels(data: str) -> Dataset:
    from d2f.data.dataset import REAL, Dataset, Labelled
    from d2f.images.files import find_images

    found = Dataset(tuple(Labelled(path, REAL) for path in find_images([data])), data)
    if not found:
        raise D2FError.of("D2F601", f"no image under '{data}'")
    return found
