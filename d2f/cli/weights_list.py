"""`d2f weights list`: every stage's weights, and whether they are on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from d2f.api.weights import Weights
    from d2f.weights.sources import Located


@dataclass(frozen=True, slots=True)
class Entry:
    """A record, whose it is, and what of it is on this machine."""

    record: Weights
    package: str
    located: Located | None
    state: str

    @property
    def size(self) -> int | None:
        """Bytes of the file, if it is here or the record says so."""
        return self.located.size if self.located is not None else self.record.size


@click.command("list")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--verify", is_flag=True, help="Hold every file that is here to its digest; exit code 1 if one differs.")
def list_(names: tuple[str, ...], as_json: bool, verify: bool) -> int:
    """Show weights: where they come from, their sha256 and licence, and whether they are here.

    NAME is one set, or a stage; by default all are shown.
    """
    from d2f.api.errors import Exit
    from d2f.cli.weights_named import named
    from d2f.plugins.catalog import Catalog
    from d2f.plugins.gathering import WEIGHTS

    catalog = Catalog.discover()
    entries = []
    for record in named(names, catalog.weights) if names else catalog.weights:
        owner = catalog.owner(WEIGHTS, record.name)
        entries.append(_entry(record, owner.package if owner else "by hand", verify))
    if as_json:
        click.echo(json.dumps([_data(entry) for entry in entries], indent=2, ensure_ascii=False))
    else:
        click.echo("\n\n".join(_text(entry) for entry in entries) or "no plugin knows of weights")
    return Exit.SOME_FAILED if any(entry.state == "damaged" for entry in entries) else Exit.OK


def _entry(record: Weights, package: str, verify: bool) -> Entry:
    from d2f.weights.fetching.pull import digest
    from d2f.weights.sources import located

    found = located(record)
    state = "absent" if found is None else "here"
    if verify and found is not None and digest(found) != record.sha256:
        state = "damaged"
    return Entry(record, package, found, state)


def _data(entry: Entry) -> dict[str, Any]:
    path = str(entry.located.file) if entry.located is not None else None
    return {**asdict(entry.record), "size": entry.size, "package": entry.package, "state": entry.state, "path": path}


def _text(entry: Entry) -> str:
    record = entry.record
    lines = [f"{record.name}  ({entry.package})"]
    if record.description:
        lines.append(f"  {record.description}")
    lines.append(f"  state    {_state(entry)}")
    lines += [f"  {'from' if not index else '':<7}  {source}" for index, source in enumerate(_sources(record))]
    lines += [f"  sha256   {record.sha256}", f"  licence  {record.licence}"]
    return "\n".join(lines)


def _state(entry: Entry) -> str:
    from d2f.cli.quantity import bytes_in_words

    size = f", {bytes_in_words(entry.size)}" if entry.size is not None else ""
    if entry.located is None:
        return f"not here{size}: d2f weights pull {entry.record.name}"
    return f"{entry.state}{size}: {entry.located.file}"


def _sources(record: Weights) -> Iterable[str]:
    for source in record.sources:
        yield f"{source} (untested)" if source in record.untested else source
