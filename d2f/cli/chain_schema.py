"""`d2f chain schema`: the JSON schema of chain files, for editors."""

from __future__ import annotations

import click


@click.command()
def schema() -> None:
    """Print the JSON schema (draft 2020-12) of chain files, with the options of the stages that are installed.

    To have an editor with a YAML language server check a chain file as it is written:

    \b
      d2f chain schema > chain.schema.json
      # yaml-language-server: $schema=chain.schema.json      <- the first line of the chain file
    """
    import json

    from d2f.chain.schema import chain_schema
    from d2f.plugins.catalog import Catalog

    click.echo(json.dumps(chain_schema(Catalog.discover()), indent=2, ensure_ascii=False))
