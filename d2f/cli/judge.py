"""`d2f judge`: one verdict an image, in words, by the best chain whose weights are present."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from d2f.cli.main import folded, rows_only
from d2f.cli.options import PRIOR, TRUST_LIST
from d2f.cores import one_blas_thread

if TYPE_CHECKING:
    from d2f.api.rows import Row
    from d2f.chain.chain import Chain
    from d2f.images.walk import Listing

ORDER = ("deep", "robust", "fast")
"""Shipped chains, the best first."""


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE|DIR...")
@click.option("--chain", "name", metavar="CHAIN", help="Take this chain. Default: the best whose weights are present.")
@PRIOR
@TRUST_LIST
@click.option("--server", metavar="URL", help="Have a server judge them: d2f serve.")
@click.option("--token", envvar="D2F_TOKEN", metavar="TOKEN", help="Of that server (better: D2F_TOKEN).")
@click.option("--json", "as_json", is_flag=True, help="Print rows as `d2f chain run --format jsonl` does.")
def judge(
    images: tuple[str, ...],
    name: str | None,
    prior: float | None,
    trust_list: str | None,
    server: str | None,
    token: str | None,
    as_json: bool,
) -> int:
    """Say of each IMAGE whether it was generated, how sure that is, and why.

    Exit code 0: every image was judged, `inconclusive` included. 1: some image could not be read.
    """
    one_blas_thread()
    from d2f.api.errors import Exit
    from d2f.chain.words import reasons, sentence
    from d2f.images.walk import Listing
    from d2f.output.append import guarded
    from d2f.output.lines import json_line, printable

    own = name, prior, trust_list
    if server is not None and any(one is not None for one in own):
        raise click.UsageError("--server excludes --chain, --prior and --trust-list: the server has its own")
    listing, failed = Listing(), False
    if server is None:
        rows, titles, closing = _judged_here(images, listing, *own)
    else:
        from d2f.images.files import find_images
        from d2f.serve.client import Client

        found, client = find_images(images, listing), Client(server, token)
        rows, titles, closing = client.rows(found), client.about["titles"], client.about["legend"]
    with rows_only() as stdout:
        for row in rows:
            failed |= row.error is not None
            if as_json:
                lines = [json_line(row).decode().rstrip()]
            else:
                why = [f"    {line}" for line in reasons(row, titles)]
                lines = [printable(row.path), f"  {sentence(row)}", *why, ""]
            with guarded(stdout):
                click.echo("\n".join(folded(line, stdout) for line in lines), file=stdout)
    for line in (*listing.lines(), *closing):
        click.echo(folded(printable(line), sys.stderr), err=True)
    return Exit.SOME_FAILED if failed else Exit.OK


def _judged_here(
    images: tuple[str, ...], listing: Listing, name: str | None, prior: float | None, trust_list: str | None
) -> tuple[Iterator[Row], Mapping[str, str], Sequence[str]]:
    """Judge images in this process: rows, titles of detectors by their id, and the lines that hold for all rows."""
    from d2f.chain.words import legend, stage_titles

    chain, better = best_chain(name, prior)
    chain = chain.with_trust_list(trust_list)
    return chain.run(images, listing=listing), stage_titles(chain), [*legend(chain), *better]


def best_chain(name: str | None, prior: float | None = None) -> tuple[Chain, list[str]]:
    """Return the chain that is asked for or the best that can run here, and what would make a better one run."""
    from d2f.chain.chain import load_chain

    better: list[str] = []
    chain = load_chain(name or ORDER[0])
    for worse in () if name else ORDER[1:]:
        absent = absent_weights(chain)
        if not absent:
            break
        better.append(f"chain {chain.name} is better but its weights are missing: d2f weights pull {' '.join(absent)}")
        chain = load_chain(worse)
    return chain.with_prior(prior), better


def absent_weights(chain: Chain) -> list[str]:
    """Return the names of a chain's weights that are not on this machine, sorted."""
    from d2f.weights.sources import located

    records = [record for _, stage in chain.plan.stages for record in getattr(stage, "weights", ())]
    return sorted({record.name for record in records if located(record) is None})
