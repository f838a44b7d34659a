"""`d2f serve`, a page and an API that keep a chain loaded, and `d2f mcp`, a chain as a tool of assistants."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from d2f.cli.main import rows_only
from d2f.cli.options import ALLOW_MISSING, PRIOR, TRUST_LIST, Quantity
from d2f.cores import one_blas_thread

if TYPE_CHECKING:
    from d2f.api.errors import D2FError


def _limits(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, float]:
    found: dict[str, float] = {}
    for each in given:
        name, _, value = each.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            found[name] = Quantity().convert(value, parameter, context)
    return found


@click.command()
@click.argument("chain", required=False)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@click.option("--token", envvar="D2F_TOKEN", metavar="TOKEN", help="Who asks must present it (better: D2F_TOKEN).")
@click.option("--insecure", is_flag=True, help="Let other machines ask without a token.")
@click.option("--allow-host", multiple=True, metavar="NAME", help="Another name of this server; repeatable.")
@click.option(
    "--allow-origin", multiple=True, metavar="ORIGIN", help="Another origin that may ask, such as an extension's."
)
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Let jobs judge folders below this one.",
)
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Worker processes. Default: one a core.")
@click.option("--limit", "limits", multiple=True, metavar="NAME=N", callback=_limits, help="Set a limit; repeatable.")
@PRIOR
@TRUST_LIST
@ALLOW_MISSING
def serve(
    chain: str | None,
    host: str,
    port: int,
    token: str | None,
    insecure: bool,
    allow_host: tuple[str, ...],
    allow_origin: tuple[str, ...],
    root: Path | None,
    workers: int | None,
    limits: dict[str, float],
    prior: float | None,
    trust_list: str | None,
    allow_missing: bool,
) -> None:
    """Keep CHAIN loaded behind a page and an API on this machine.

    Without CHAIN, the best one whose weights are present is taken. The page is at the address that is printed, the
    API below /v1, its OpenAPI document at /v1/openapi.json. Ctrl-C ends the server once what runs is finished; a second
    one ends it at once.
    """
    one_blas_thread()
    try:
        from d2f.serve.server import Server
    except ModuleNotFoundError as error:
        raise _not_installed(error, "serve") from None
    from d2f.chain.chain import load_chain
    from d2f.cli.judge import best_chain
    from d2f.serve.settings import ServeSettings, limits_of

    settings = ServeSettings(
        host=host,
        port=port,
        token=token or None,  # type: ignore[arg-type]
        insecure=insecure,
        allow_host=allow_host,
        allow_origin=allow_origin,
        root=root,
        workers=workers,
        limits=limits_of(limits),
    )
    settings.check()
    loaded, better = (load_chain(chain, allow_missing=allow_missing), []) if chain else best_chain(None)
    loaded = loaded.with_trust_list(trust_list).with_prior(prior)
    with rows_only() as stdout:

        def say() -> None:
            click.echo(f"chain {loaded.name} at {server.address}  (Ctrl-C ends it)", file=stdout)

        server = Server(loaded, settings, say)
        for line in better:
            click.echo(line, err=True)
        server.run()


@click.command()
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Files below this folder may be judged, and no others.",
)
@click.option("--chain", metavar="CHAIN", help="Take this chain. Default: the best whose weights are present.")
def mcp(root: Path, chain: str | None) -> None:
    """Offer a chain to an assistant, as the tools `judge` and `explain` of the Model Context Protocol (stdio).

    An assistant starts this command itself; docs/how-to/serve shows how it is told to.
    """
    one_blas_thread()
    try:
        from d2f.serve.mcp import make_server
    except ModuleNotFoundError as error:
        raise _not_installed(error, "mcp") from None
    from d2f.cli.judge import best_chain

    loaded, _ = best_chain(chain)
    make_server(loaded, root).run("stdio")


def _not_installed(error: ModuleNotFoundError, extra: str) -> D2FError:
    from d2f.api.errors import D2FError, Exit

    words = f"d2f {extra} needs '{error.name}', which is not installed"
    return D2FError.of("D2F206", words, f"pip install 'd2f[{extra}]'", exit=Exit.PLUGIN)
