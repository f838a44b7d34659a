"""`d2f explain`: why a verdict, as text and as a page; `d2f report`: verify a report, print its schema."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from d2f.cli.main import LazyGroup, Table, folded, rows_only
from d2f.cli.options import ALLOW_MISSING, PRIOR, TRUST_LIST
from d2f.cores import one_blas_thread

if TYPE_CHECKING:
    from d2f.explain.explain import MapChoice

MOST_IMAGES = 100
"""On one page; a folder is for ``d2f chain run --report``."""


@click.command()
@click.argument("chain")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option("-o", "--output", metavar="REPORT.html", help="Write a page there, and its record beside it, as .json.")
@click.option("--overwrite", is_flag=True, help="Replace them.")
@click.option(
    "--map",
    "maps",
    type=click.Choice(["auto", "none", "tiles", "occlusion", "both"]),
    default="auto",
    show_default=True,
    help="Heat maps to measure; auto: those that were found to help.",
)
@PRIOR
@click.option("--full", is_flag=True, help="Keep location, serial numbers, local paths and raw fields in the report.")
@TRUST_LIST
@ALLOW_MISSING
def explain(
    chain: str,
    images: tuple[str, ...],
    output: str | None,
    overwrite: bool,
    maps: MapChoice,
    prior: float | None,
    full: bool,
    trust_list: str | None,
    allow_missing: bool,
) -> int:
    """Say why CHAIN judges each IMAGE as it does; with -o, write a report to hand on.

    The page needs nothing from elsewhere: no script, no font. Exit code 1: some image could not be read.
    """
    one_blas_thread()
    from d2f.api.errors import D2FError, Exit
    from d2f.chain.chain import load_chain
    from d2f.chain.words import legend
    from d2f.explain.explain import explain_image, record_path, save
    from d2f.files import require_new_file
    from d2f.images.files import find_images
    from d2f.output.lines import printable
    from d2f.progress import Progress

    if output is not None:
        if not output.lower().endswith((".html", ".htm")):
            raise click.UsageError(f"the report is a page: -o expects a name that ends in .html, not '{output}'")
        for path in (output, record_path(output)):
            require_new_file(path, overwrite)
    loaded = load_chain(chain, allow_missing=allow_missing)
    loaded = loaded.with_trust_list(trust_list).with_prior(prior)
    paths = list(find_images(images))
    if len(paths) > MOST_IMAGES:
        message = f"{len(paths)} images: a page holds {MOST_IMAGES}"
        raise D2FError.of("D2F001", message, f"for a folder: d2f chain run {chain} … --report DIR")
    found = []
    with rows_only() as stdout:

        def say(lines: Iterable[str]) -> None:
            click.echo("\n".join(folded(printable(line), stdout) for line in lines), file=stdout)

        for path in paths:
            with Progress(f"map of {os.path.basename(path)}") as progress:
                one = explain_image(loaded, path, maps=maps, full=full, tick=lambda _, n, of: progress.update(n, of))
            found.append(one)
            say(one.lines())
        say(legend(loaded))
        if output is not None:
            save(found, output)
            click.echo(f"wrote {printable(output)} and {printable(record_path(output))}", file=stdout)
    return Exit.SOME_FAILED if any(one.row.error for one in found) else Exit.OK


COMMANDS: Table = {
    "verify": ("d2f.cli.explain:verify", "Recompute digest, chain and row of an image, and compare."),
    "schema": ("d2f.cli.explain:schema", "Print the JSON schema of report.json."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def report() -> None:
    """Work with reports of `d2f explain` and `d2f chain run --report`."""


@click.command()
@click.argument("report", metavar="REPORT.json")
@click.argument("image", metavar="IMAGE")
@click.option("--chain", metavar="CHAIN", help="Take this chain; by default the shipped one that the report names.")
@TRUST_LIST
def verify(report: str, image: str, chain: str | None, trust_list: str | None) -> int:
    """Recompute the sha256 and row of IMAGE, and the chain's digest and facts, and compare them with REPORT.json.

    Of a report that was made with --trust-list, give the same list. Exit code 0: all hold. 1: one does not. 2:
    REPORT.json or IMAGE cannot be read.
    """
    one_blas_thread()
    from d2f.api.errors import Exit
    from d2f.explain.record import NOT_CHECKED
    from d2f.explain.record import verify as checks
    from d2f.output.lines import printable

    holds = True
    with rows_only() as stdout:
        for one in checks(report, image, chain, trust_list):
            holds &= one.holds
            click.echo(printable(f"{'holds' if one.holds else 'DIFFERS':8} {one.what}: {one.found}"), file=stdout)
        click.echo(f"not checked: {NOT_CHECKED}", file=stdout)
    return Exit.OK if holds else Exit.SOME_FAILED


@click.command()
def schema() -> None:
    """Print the JSON schema (draft 2020-12) of report.json."""
    from d2f.explain.record import report_schema

    click.echo(json.dumps(report_schema(), indent=2, ensure_ascii=False))
