"""`d2f chain check`: every problem of a chain file, located."""

from __future__ import annotations

import click


@click.command()
@click.argument("chain")
def check(chain: str) -> None:
    """Find every problem of CHAIN at once, each with its place and a next step.

    Exit code 0: none, or warnings only. 2: some. 3: a plugin that the chain needs is broken.
    """
    from d2f.api.errors import D2FError
    from d2f.chain.check import check_text
    from d2f.chain.load import chain_text
    from d2f.cli.errors import print_problems
    from d2f.plugins.catalog import Catalog

    checked = check_text(chain_text(chain), Catalog.discover())
    if checked.file is None:
        raise D2FError(checked.problems, checked.exit)
    print_problems(checked.problems)
    if not checked.problems:
        click.echo(f"{chain}: no problem found")
