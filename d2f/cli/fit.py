"""`d2f chain fit` and `d2f chain ablate`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from d2f.api.errors import Exit
from d2f.cli.options import DATA, DRAWS, FittingOptions, fitting_options, resumable_cache
from d2f.cores import one_blas_thread
from d2f.files import require_new_file, write_whole
from d2f.progress import Progress


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
