"""`d2f chain ablate`: what each detector, view and member of a chain adds, and which of them to keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from d2f.cli.options import fitting_options

if TYPE_CHECKING:
    from d2f.evaluate.ablate import Ablation, Step
    from d2f.evaluate.comparing import Left


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
    where an image, a copy or a member failed; the chain is fitted to the others.
    """
    from d2f.cores import one_blas_thread

    one_blas_thread()
    from d2f.api.errors import Exit
    from d2f.chain.chain import load_chain
    from d2f.cli.options import keeping_both, need_writable, read_images, read_request, write_output
    from d2f.evaluate.fit import fit_chain
    from d2f.evaluate.fit_report import fit_lines, threshold_fit_lines
    from d2f.evaluate.refit import fit_only_thresholds
    from d2f.progress import Progress

    need_writable(output, overwrite)
    loaded = load_chain(chain, refit=only is None, allow_missing=options["allow_missing"])
    images = read_images(data, **options)
    with keeping_both(options["keep_scores"], options["features"]), Progress("scoring", total=len(images)) as progress:
        request = read_request(progress.advance, only is not None, **options)
        found = fit_only_thresholds(loaded, images, request) if only else fit_chain(loaded, images, request)
    write_output(output, found.text)
    lines = threshold_fit_lines(found) if only else fit_lines(found)  # type: ignore[arg-type]
    for line in lines:
        click.echo(line)
    click.echo(f"wrote {output}")
    return Exit.SOME_FAILED if found.table.unread or found.table.failed else Exit.OK


SUFFIXES = (".md", ".json")


@click.command()
@click.argument("chain")
@click.option("--data", required=True, metavar="DIR", help="Labelled images: a folder or a manifest.")
@click.option("-o", "--output", metavar="FILE", help="Write every figure there: FILE.md or FILE.json.")
@click.option("--pick", metavar="FILE", help="Leave out members that add next to nothing; write the fitted rest there.")
@click.option(
    "--tolerance",
    type=click.FloatRange(0),
    default=0.002,
    show_default=True,
    help="Bits of log loss that --pick may lose.",
)
@click.option("--overwrite", is_flag=True, help="Replace the files.")
@click.option("--draws", type=click.IntRange(20), default=1000, show_default=True, help="Bootstrap draws.")
@fitting_options
def ablate(
    chain: str, data: str, output: str | None, pick: str | None, tolerance: float, overwrite: bool, **options: Any
) -> int:
    """Fit CHAIN out of fold with everything, then without each detector, view and member; print what each adds.

    What adds nothing clean or at the worst attack costs time and buys nothing. Folds never cut through a collection.
    Exit code 1 where an image, a copy or a member failed.
    """
    from d2f.cores import one_blas_thread

    one_blas_thread()
    from d2f.api.errors import Exit
    from d2f.chain.chain import load_chain
    from d2f.cli.options import keeping_both, need_writable, read_images, read_request
    from d2f.evaluate.ablate import ablate as ablated
    from d2f.evaluate.ablation import ablation_lines
    from d2f.progress import Progress

    if output is not None and not output.endswith(SUFFIXES):
        raise click.UsageError(f"-o takes a file that ends in {' or '.join(SUFFIXES)}")
    for path in (output, pick):
        if path is not None:
            need_writable(path, overwrite)
    loaded = load_chain(chain, refit=True, allow_missing=options["allow_missing"])
    images = read_images(data, **options)
    with keeping_both(options["keep_scores"], options["features"]), Progress("scoring", total=len(images)) as progress:
        found = ablated(loaded, images, read_request(progress.advance, **options), options["draws"])
    for line in ablation_lines(found):
        click.echo(line)
    steps, kept = _picked(found, pick, tolerance) if pick is not None else ([], None)
    if output is not None:
        _write(output, found, steps, kept)
    return Exit.SOME_FAILED if found.table.unread or found.table.failed else Exit.OK


def _picked(found: Ablation, path: str, tolerance: float) -> tuple[list[Step], Left]:
    from d2f.cli.options import write_output
    from d2f.evaluate.ablate import eliminate, fit_picked, picked
    from d2f.evaluate.ablation import picked_lines, step_line

    click.echo("")
    steps = []
    for step in eliminate(found.subsets, tolerance):
        steps.append(step)
        click.echo(step_line(step, steps[0].cost, tolerance))
    columns = picked(steps)
    kept = found.comparing.left("picked", found.whole.name, columns)
    for line in picked_lines(kept):
        click.echo(line)
    write_output(path, fit_picked(found.subsets, columns, found.notes).text)
    click.echo(f"wrote {path}")
    return steps, kept


def _write(output: str, found: Ablation, steps: list[Step], kept: Left | None) -> None:
    import json

    from d2f.cli.options import write_output
    from d2f.evaluate.ablation import ablation_markdown, ablation_result

    if output.endswith(".json"):
        write_output(output, json.dumps(ablation_result(found, steps, kept), indent=1, ensure_ascii=False) + "\n")
    else:
        write_output(output, ablation_markdown(found, steps, kept))
    click.echo(f"wrote {output}")
