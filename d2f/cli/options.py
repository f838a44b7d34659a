"""Options and steps that several commands share: outputs, quantities, labelled images, fitting."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import wraps
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from d2f.api.errors import D2FError, Exit
from d2f.api.inputs import PROTOCOLS, ProtocolName
from d2f.api.rows import Row
from d2f.cli.main import print_problems
from d2f.cores import usable_cores
from d2f.files import is_url
from d2f.output import Format, Head, Mode, Writer, choose_format, open_writer
from d2f.output.append import NAME, RESUMABLE
from d2f.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console

    from d2f.cache import Cache
    from d2f.data.dataset import Dataset
    from d2f.data.facts import Inspection
    from d2f.evaluate.fit import FitRequest


def output_mode(resume: bool, overwrite: bool) -> Mode:
    """Return what becomes of what an output holds."""
    if resume and overwrite:
        raise click.UsageError("--resume and --overwrite exclude each other")
    return "resume" if resume else "overwrite" if overwrite else "new"


@dataclass(frozen=True, slots=True)
class Destination:
    """A file, a folder of Parquet parts, or the standard output."""

    path: str | None
    format: Format
    mode: Mode
    stream: TextIO = field(default_factory=lambda: sys.stdout, compare=False)

    @classmethod
    def of(
        cls, output: str | None, format: Format | None, resume: bool, overwrite: bool, stream: TextIO | None = None
    ) -> Destination:
        """Make it of what the command line says; `stream` is the standard output."""
        path = None if output == "-" else output
        mode = output_mode(resume, overwrite)
        if path is None and (resume or overwrite):
            raise click.UsageError(f"{'--resume' if resume else '--overwrite'} needs -o FILE")
        return cls(path, choose_format(path, format), mode, stream or sys.stdout)

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return NAME if self.path is None else self.path

    @property
    def modified(self) -> float:
        """When it was last written to, in seconds since the epoch; 0 where it is new or no file."""
        try:
            return 0.0 if self.path is None or self.mode != "resume" else os.stat(self.path).st_mtime
        except OSError:
            return 0.0

    @property
    def resumable(self) -> bool:
        """Whether a run that stopped can be continued here."""
        if self.path is None or self.format not in RESUMABLE:
            return False
        return is_url(self.path) or os.path.isfile(self.path) or os.path.isdir(self.path)

    @property
    def recorded(self) -> bool:
        """Whether the run is recorded beside it: it holds rows, and is no pipe or device."""
        if self.path is None or self.format not in RESUMABLE:
            return False
        return is_url(self.path) or not os.path.exists(self.path) or self.resumable

    def console(self) -> Console | None:
        """Return the terminal that a table is shown on, if one is."""
        if self.path is not None or self.format != "table" or not self.stream.isatty():
            return None
        from d2f.output.table import HonestConsole

        return HonestConsole(file=self.stream)

    def open(self, head: Head, seen: Callable[[Row], None], console: Console | None) -> Writer:
        """Open it for rows; `seen` is called with those that an earlier run has written."""
        return open_writer(self.path, self.format, head, self.mode, seen, console, self.stream)


PREFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def bytes_in_words(size: int) -> str:
    """Return a number of bytes for a person, in decimal units.

    >>> [bytes_in_words(size) for size in (12, 1234, 102530333)]
    ['12 B', '1.2 kB', '102.5 MB']
    """
    value, units = float(size), iter(("B", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while value >= 999.95:
        value, unit = value / 1000, next(units)
    return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"


class Quantity(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A positive whole number, such as ``4096``, ``200M`` (millions) or ``640Mi`` (2**20 each)."""

    name = "number"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number.

        >>> [Quantity().convert(text, None, None) for text in ("7", "1.5k", "2Mi")]
        [7, 1500, 2097152]
        """
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kmg]?i?)", value.strip().lower())
        number = int(float(found[1]) * PREFIXES.get(found[2], 0)) if found else 0
        if number < 1:
            self.fail(f"'{value}' is not a positive number such as 4096, 200M or 640Mi", param, ctx)
        return number


def _meanings(context: click.Context, parameter: click.Parameter, given: str | None) -> dict[str, str]:
    pairs = [each.partition("=") for each in given.split(",")] if given else []
    if any(not (word and sign and label) for word, sign, label in pairs):
        raise click.UsageError(f"--labels expects WORD=real,WORD=generated,WORD=ignore, not '{given}'")
    return {word.strip(): label.strip() for word, _, label in pairs}


labels_option = click.option(
    "--labels",
    metavar="WORD=LABEL,…",
    callback=_meanings,
    help="More words for labels, of folders or in manifests: human=real,synthetic=generated,ai=ignore.",
)


def read_set(data: str, limit: int | None = None, seed: int = 0, labels: Mapping[str, str] | None = None) -> Dataset:
    """Read a labelled set and print what was assumed."""
    from d2f.data.dataset import limited, load_dataset

    images = load_dataset(data, labels)
    for note in images.notes:
        click.echo(f"note: {note}", err=True)
    return limited(images, limit, seed) if limit else images


def look_at(images: Dataset, decode: bool = False, workers: int | None = None) -> Inspection:
    """Look at every file with a progress bar; print the problems of those that cannot be read."""
    from d2f.data.facts import inspect

    with Progress("reading", total=len(images)) as progress:
        seen = inspect(images, decode, workers or usable_cores(), progress.advance)
    if not len(seen.images):
        raise D2FError(seen.problems, Exit.SOME_FAILED)
    print_problems(seen.problems)
    return seen


Command = TypeVar("Command", bound=Callable[..., Any])


def _folders(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in given:
        detector, _, folder = each.partition("=")
        if not (detector and folder):
            raise click.UsageError(f"--oof-weights expects DETECTOR=DIR, not '{each}'")
        if detector in found:
            raise click.UsageError(f"--oof-weights gives '{detector}' two folders: put the weights into one")
        found[detector] = folder
    return found


def _column_values(
    context: click.Context, parameter: click.Parameter, given: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    pairs = [each.partition("=") for each in given]
    if wrong := [each for each, (column, sign, _) in zip(given, pairs, strict=True) if not (column and sign)]:
        raise click.UsageError(f"--exclude expects COLUMN=VALUE, not '{wrong[0]}'")
    return tuple((column, value) for column, _, value in pairs)


ALLOW_MISSING = click.option(
    "--allow-missing",
    is_flag=True,
    help="Go on without stages that cannot score any image here; it changes the digest.",
)
PRIOR = click.option(
    "--prior",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Probability of AI-generated before looking. Default: the chain's.",
)
TRUST_LIST = click.option(
    "--trust-list",
    metavar="FILE",
    help="Root certificates (PEM) of signers to trust in place of the shipped lists; it changes the digest.",
)
DATA = click.option("--data", required=True, metavar="DIR", help="Labelled images: a folder or a manifest.")
LIMIT = click.option("--limit", type=click.IntRange(1), metavar="N", help="Take N images only, seeded and stratified.")
CACHE = click.option(
    "--cache", metavar="DIR", help="Store scores and features there; any later command reads them back."
)
DRAWS = click.option("--draws", type=click.IntRange(20), default=1000, show_default=True, help="Bootstrap draws.")
WORKERS = click.option(
    "--workers", type=click.IntRange(1), metavar="N", help="Threads; the result does not depend on it."
)
EXCLUDE = click.option(
    "--exclude",
    multiple=True,
    metavar="COLUMN=VALUE",
    callback=_column_values,
    help="Leave out images with a value in a column of the manifest; repeatable.",
)
PARTS = click.Choice(["all", "chains", "weights"])
OPTIONS = (
    click.option("--attack", "attacks", multiple=True, metavar="SPEC", help="An attacked copy to add; repeatable."),
    click.option("--no-attack", is_flag=True, help="Add no attacked copies."),
    click.option("--part", type=PARTS, default="all", help="Of the project's split."),
    EXCLUDE,
    click.option("--protocol", type=click.Choice(PROTOCOLS), help="What both labels go through first."),
    click.option("--calibrator", default="platt", show_default=True, help="For members for which the file names none."),
    click.option("--folds", type=click.IntRange(3, 50), default=5, show_default=True, help="Of cross-validation."),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of crops, qualities and folds."),
    LIMIT,
    WORKERS,
    CACHE,
    labels_option,
    click.option(
        "--oof-weights",
        multiple=True,
        metavar="DETECTOR=DIR",
        callback=_folders,
        help="Score images that its weights were trained on by those in DIR that did not see them; repeatable.",
    ),
    ALLOW_MISSING,
    click.option("--allow-overlap", is_flag=True, help="Let in images that the weights were trained on."),
)


@dataclass(frozen=True, slots=True)
class FittingOptions:
    """The options of `OPTIONS`, as given."""

    attacks: tuple[str, ...]
    no_attack: bool
    part: str
    exclude: tuple[tuple[str, str], ...]
    protocol: ProtocolName | None
    calibrator: str
    folds: int
    seed: int
    limit: int | None
    workers: int | None
    cache: str | None
    labels: Mapping[str, str]
    oof_weights: Mapping[str, str]
    allow_missing: bool
    allow_overlap: bool

    def request(
        self, opened: Cache | None, tick: Callable[[], None] | None, thresholds_only: bool = False, name: str = ""
    ) -> FitRequest:
        """Return what they request of a fit."""
        from d2f.evaluate.attacks import FITTING
        from d2f.evaluate.fit import FitRequest

        if self.no_attack and self.attacks:
            raise click.UsageError("--attack and --no-attack exclude each other")
        default = () if thresholds_only or self.no_attack else FITTING
        return FitRequest(
            attacks=self.attacks or default,
            # A user's own threshold is for files as they come in, a whole fit for what distinguishes classes.
            protocol=self.protocol or ("as-found" if thresholds_only else "whole"),
            folds=self.folds,
            seed=self.seed,
            calibrator=self.calibrator,
            allow_overlap=self.allow_overlap,
            oof_weights=self.oof_weights,
            name=name,
            workers=self.workers,
            cache=opened,
            tick=tick,
        )

    def images(self, data: str) -> Dataset:
        """Read the labelled images that they name; print what was assumed."""
        from d2f.data.dataset import column_value, columns_of, limited
        from d2f.data.groups import shipped_split

        images = read_set(data, labels=self.labels)
        columns = columns_of(images)
        if wrong := [column for column, _ in self.exclude if column not in columns]:
            raise click.UsageError(f"--exclude: no image has a column '{wrong[0]}'; there are {', '.join(columns)}")
        if self.part != "all":
            split = shipped_split(images)
            if split.unlisted:
                first, count = split.unlisted[0], len(split.unlisted)
                click.echo(f"note: {count} collections are not in the list, such as '{first}': by a hash", err=True)
            images = getattr(split, self.part)
        for column, value in self.exclude:
            kept = [number for number, image in enumerate(images) if column_value(image, column) != value]
            click.echo(f"note: {len(images) - len(kept)} of {len(images)} images excluded: {column}={value}", err=True)
            images = images.select(kept)
        return limited(images, self.limit, self.seed) if self.limit else images


def collected(kind: type[Any], *options: Callable[[Command], Command]) -> Callable[[Callable[..., Any]], Any]:
    """Add options to a command, which is given them as one object: its parameter `options`, a dataclass `kind`."""
    names = {each.name for each in fields(kind)}

    def decorate(command: Callable[..., Any]) -> Any:
        @wraps(command)
        def call(**given: Any) -> Any:
            own = {name: value for name, value in given.items() if name not in names}
            return command(**own, options=kind(**{name: given[name] for name in names}))

        added: Any = call
        for option in reversed(options):
            added = option(added)
        return added

    return decorate


fitting_options = collected(FittingOptions, *OPTIONS)
"""Add the options of a fit to a command."""


@contextmanager
def resumable_cache(folder: str | None) -> Iterator[Cache | None]:
    """Use a cache while this context is open; say how to continue where a run with one is interrupted."""
    from d2f.cache import caching

    try:
        with caching(folder) as cache:
            yield cache
    except KeyboardInterrupt:
        if folder is not None:
            click.echo(f"scores so far are stored in {folder}: the same command continues from there", err=True)
        raise
