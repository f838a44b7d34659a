"""`d2f bench`: what chains are worth on labelled images."""

from __future__ import annotations

from typing import Any

import click


@click.command()
@click.argument("chains", metavar="CHAIN...", nargs=-1, required=True)
@click.option("--data", required=True, metavar="DIR", help="Labelled images: a folder or a manifest.")
@click.option(
    "--protocol",
    type=click.Choice(["matched", "as-is"]),
    default="matched",
    show_default=True,
    help="matched: the centre 320 pixels, encoded alike; as-is: files as they came.",
)
@click.option("--attack", "attacks", multiple=True, metavar="SPEC", help="Measure under it too; may be repeated.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Take N images only, seeded and stratified.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of --limit.")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Threads; the figures do not depend on it.")
def bench(chains: tuple[str, ...], data: str, **options: Any) -> int:
    """Run each CHAIN over labelled images; print its figures with intervals, overall and by collection.

    Exit code 1 where an image, a copy or a cell failed.
    """
    from d2f.engine.cores import one_blas_thread

    one_blas_thread()
    from d2f.api.errors import Exit
    from d2f.bench.judged_set import judge_set
    from d2f.bench.report import bench_lines
    from d2f.chain.load import load_chain
    from d2f.cli.ticking import ticking
    from d2f.data.dataset import load_dataset
    from d2f.data.limited import limited
    from d2f.scoring.attack import read_attacks

    loaded = [load_chain(chain) for chain in chains]
    laid = read_attacks(options["attacks"], loaded[0].catalog)
    images = load_dataset(data)
    for note in images.notes:
        click.echo(f"note: {note}", err=True)
    images = limited(images, options["limit"], options["seed"]) if options["limit"] else images
    failed = False
    for number, chain in enumerate(loaded):
        with ticking(chain.name, len(images)) as tick:
            judged = judge_set(chain, images, options["protocol"], laid, workers=options["workers"], tick=tick)
        click.echo("\n" * bool(number) + "\n".join(bench_lines(judged)))
        failed = failed or bool(judged.table.unread or judged.table.failed)
    return Exit.SOME_FAILED if failed else Exit.OK
