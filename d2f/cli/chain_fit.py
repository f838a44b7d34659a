"""`d2f chain fit`: calibration, combination and thresholds learned from labelled images."""

from __future__ import annotations

from typing import Any

import click

from d2f.cli.fit_options import fitting_options


@click.command()
@click.argument("chain")
@click.option("--data", required=True, metavar="DIR", help="Labelled images: a folder or a manifest.")
@click.option("-o", "--output", required=True, metavar="FILE", help="Where the fitted chain file goes.")
@click.option("--overwrite", is_flag=True, help="Replace FILE.")
@click.option("--only", type=click.Choice(["thresholds"]), help="Re-fit these and leave the rest as it is.")
@fitting_options
def fit(chain: str, data: str, output: str, overwrite: bool, only: str | None, **options: Any) -> int:
    """Fit CHAIN to labelled images and write it anew.

    Every image counts as it is brought and under each attack. Folds never cut through a collection. Exit code 1
    where an image, a copy or a cell failed; the chain is fitted to the others.
    """
    from d2f.engine.cores import one_blas_thread

    one_blas_thread()
    from d2f.api.errors import Exit
    from d2f.chain.load import load_chain
    from d2f.cli.fit_options import keeping_both, need_writable, read_images, read_request, write_output
    from d2f.cli.ticking import ticking
    from d2f.fitting.fit import fit_chain
    from d2f.fitting.only_thresholds import fit_only_thresholds
    from d2f.fitting.report import fit_lines, threshold_fit_lines

    need_writable(output, overwrite)
    loaded = load_chain(chain, refit=only is None)
    images = read_images(data, **options)
    with keeping_both(options["keep_scores"], options["features"]), ticking("scoring", len(images)) as tick:
        request = read_request(tick, only is not None, **options)
        found = fit_only_thresholds(loaded, images, request) if only else fit_chain(loaded, images, request)
    write_output(output, found.text)
    lines = threshold_fit_lines(found) if only else fit_lines(found)  # type: ignore[arg-type]
    for line in lines:
        click.echo(line)
    click.echo(f"wrote {output}")
    return Exit.SOME_FAILED if found.table.unread or found.table.failed else Exit.OK
