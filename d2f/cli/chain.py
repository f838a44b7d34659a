"""`d2f chain`: run over images, list, check, show, schema."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from d2f.api.errors import D2FError
from d2f.api.inputs import Bounds
from d2f.cli.main import (
    Interruption,
    LazyGroup,
    RememberingCommand,
    Table,
    called_with,
    print_problems,
    rows_only,
)
from d2f.cli.options import ALLOW_MISSING, Destination, Quantity
from d2f.files import require_new_file, write_whole
from d2f.images.files import STANDARD_INPUT, find_images, is_listed_at_once
from d2f.images.sources import last_touched
from d2f.images.walk import Listing, location
from d2f.output import Done, Format, Head, Summary, Writer
from d2f.output.append import guarded
from d2f.output.columns import printable
from d2f.progress import BackgroundCount, Progress

if TYPE_CHECKING:
    from d2f.api.rows import Row
    from d2f.chain.chain import Chain
    from d2f.chain.show import Line


COMMANDS: Table = {
    "run": ("d2f.cli.chain:run", "Score images: one verdict each."),
    "list": ("d2f.cli.chain:list_", "The chains that ship, and whether their weights are here."),
    "check": ("d2f.cli.chain:check", "Find every problem of a chain file."),
    "show": ("d2f.cli.chain:show", "Draw a chain: stages, views, calibrations, weights."),
    "fit": ("d2f.cli.fit:fit", "Learn calibration, combination and thresholds from labelled images."),
    "ablate": ("d2f.cli.fit:ablate", "See what each detector, view and member adds, and keep what does."),
    "schema": ("d2f.cli.chain:schema", "Print the JSON schema of chain files, for editors."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def chain() -> None:
    """Work with chains: detectors over views, combined into one verdict.

    CHAIN is the path of a chain file or the name of a chain that ships with d2f.
    """


SECONDS = click.FloatRange(0.0, min_open=True)
FORMATS = ("table", "jsonl", "csv", "parquet")


@click.command(cls=RememberingCommand)
@click.argument("chain")
@click.argument("images", nargs=-1, metavar="[IMAGE|DIR|GLOB|MANIFEST|ARCHIVE|URL|-]...")
@click.option("-o", "--output", metavar="FILE", help="Write rows to FILE; its ending says the format.")
@click.option("--format", type=click.Choice(FORMATS), help="Default: by FILE's ending; without FILE, table.")
@click.option("--resume", is_flag=True, help="Continue FILE where an earlier run of the same chain stopped.")
@click.option("--overwrite", is_flag=True, help="Replace FILE.")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Processes. Default: cores; 1 for few images.")
@click.option("--time-limit", type=SECONDS, metavar="S", help="Of a stage for an image. Default: 120 s.")
@click.option("--memory-limit", type=Quantity(), metavar="N", help="Bytes of a process. Default: its share of memory.")
@click.option("--max-bytes", type=Quantity(), metavar="N", help="Refuse larger files. Default: 640Mi.")
@click.option("--max-pixels", type=Quantity(), metavar="N", help="Refuse larger images. Default: 128Mi.")
@ALLOW_MISSING
@click.option(
    "--all-files", is_flag=True, help="Take every file of a folder, whatever its ending; hidden ones excepted."
)
@click.option("-0", "--null", is_flag=True, help="Paths on standard input end in NUL, as find -print0 writes them.")
@click.option("--summary", metavar="FILE", help="Also write the summary's counts to FILE, as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, and of the summary only the caveats.")
@click.option("--progress/--no-progress", default=None, help="Default: where stderr is a terminal.")
@click.pass_context
def run(
    ctx: click.Context,
    /,
    chain: str,
    images: tuple[str, ...],
    output: str | None,
    format: Format | None,
    resume: bool,
    overwrite: bool,
    workers: int | None,
    time_limit: float | None,
    memory_limit: int | None,
    max_bytes: int | None,
    max_pixels: int | None,
    allow_missing: bool,
    all_files: bool,
    null: bool,
    summary: str | None,
    quiet: bool,
    progress: bool | None,
) -> int:
    """Score images with CHAIN, one row each.

    A folder is searched through all its levels for images; what is passed over is counted. A manifest is a .csv or
    .parquet file with a column `path`, or a .txt with a path a line; - reads such lines from standard input. Of a .tar,
    .tar.gz or .zip the images in it are taken, as ARCHIVE!MEMBER; a URL (s3://bucket/photos) names objects of a store.
    An image that is named twice has one row. With nothing named, the images that the chain file names are taken.

    \b
    Exit code 0    every image was scored
              1    some image or some stage failed
              2    the command line or the chain file is wrong
              3    a stage of the chain cannot score any image here
              130  interrupted; rows written so far can be continued with --resume
    """
    from d2f.cores import one_blas_thread

    one_blas_thread()
    from d2f.chain.chain import load_chain

    limits = {"bytes": max_bytes, "pixels": max_pixels}
    bounds = Bounds(**{name: most for name, most in limits.items() if most is not None})
    if progress is None:
        progress = sys.stderr.isatty() and not quiet
    if summary is not None:
        require_new_file(summary, overwrite or resume)
    with rows_only() as stdout:
        destination = Destination.of(output, format, resume, overwrite, stdout)
        loaded = load_chain(chain, allow_missing=allow_missing)
        print_problems(loaded.warnings)
        named = images or _named_in_file(loaded, chain)
        processes = {"workers": workers, "time_limit": time_limit, "memory_limit": memory_limit}
        if null and STANDARD_INPUT not in named:
            raise click.UsageError("-0 needs - among what is named: paths from standard input")
        request = RunRequest(named, bounds, processes, Listing(all_files, null), summary, quiet, progress)
        return RunRows(loaded, request, destination).finish(ctx)


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What is to be scored, within what bounds, and what is shown meanwhile."""

    images: Sequence[str]
    bounds: Bounds
    processes: Mapping[str, Any]
    listing: Listing
    summary: str | None
    quiet: bool
    progress: bool


def _named_in_file(loaded: Chain, chain: str) -> tuple[str, ...]:
    if not loaded.images:
        raise D2FError.of(
            "D2F003", f"no image was named, and chain '{loaded.name}' names none", f"d2f chain run {chain} FOLDER"
        )
    return loaded.images


class RunRows:
    """Scores images, writes their rows and sums them up."""

    def __init__(self, chain: Chain, request: RunRequest, destination: Destination) -> None:
        self._chain, self._request, self._destination = chain, request, destination
        self._head = Head.of(chain.name, chain.digest, chain.plan.members)
        self._done, self._summary, self._listing = Done(), Summary(self._head), request.listing
        self._digests, self._changed, self._written_at = Done(), 0, destination.modified
        self._console = destination.console()
        self._begun = time.monotonic()

    def finish(self, ctx: click.Context) -> int:
        """Score and write every image; return the exit code."""
        interruption = Interruption()
        with interruption:
            try:
                self._write_all(interruption)
            except KeyboardInterrupt:
                self._report(ended=False)
                click.echo(self._how_to_go_on(ctx), err=True)
                return interruption.exit_code
            self._report()
        return self._summary.exit

    def _write_all(self, interruption: Interruption) -> None:
        with closing(self._rows()) as rows:
            writer = self._destination.open(self._head, self._seen, self._console)
            try:
                self._write(rows, writer, interruption)
            except Exception:
                # What was written stays; a second error from the same disk would hide the first.
                with suppress(Exception):
                    writer.close()
                raise
            except KeyboardInterrupt:
                writer.close()
                raise

    def _write(self, rows: Any, writer: Writer, interruption: Interruption) -> None:
        self._begun = time.monotonic()
        with self._progress() as progress, self._count(progress):
            progress.start(self._summary.images)
            for row in rows:
                with interruption.afterwards():
                    writer.write(row)
                    self._summary.add(row)
                progress.advance()
        with interruption.afterwards():
            writer.close()

    def _rows(self) -> Any:
        given = self._request
        return self._chain.run(
            given.images, **given.processes, bounds=given.bounds, only=self._is_due, listing=self._listing
        )

    def _is_due(self, path: str) -> bool:
        place = location(path) if self._done else ""
        if not self._done or place not in self._done:
            return True
        self._changed += self._has_changed(path, place)
        return False

    def _has_changed(self, path: str, place: str) -> bool:
        """Whether a file was replaced after its row: touched since the output was written, and of another digest."""
        from d2f.images.read import read_bytes

        try:
            if last_touched(path) <= self._written_at:
                return False
            digest = hashlib.sha256(read_bytes(path, self._request.bounds)).hexdigest()
            return _row_identity(place, digest) not in self._digests
        except (OSError, D2FError):
            return True

    def _seen(self, row: Row) -> None:
        place = location(row.path)
        self._done.add(place)
        self._digests.add(_row_identity(place, row.sha256))
        self._summary.add(row, earlier=True)

    def _progress(self) -> Progress:
        return Progress(console=self._console or Console(stderr=True), lines=True, shown=self._request.progress)

    def _count(self, progress: Progress) -> BackgroundCount:
        """Count the images meanwhile, where they can be listed twice."""
        listed, all_files = self._request.images, self._listing.all_files
        if not is_listed_at_once(listed):
            return BackgroundCount(lambda: (), lambda total: None)
        return BackgroundCount(lambda: find_images(listed, Listing(all_files)), lambda n: progress.update(total=n))

    def _report(self, ended: bool = True) -> None:
        seconds = time.monotonic() - self._begun
        if self._request.summary is not None:
            counts = {**self._summary.counts(seconds, ended), "passed_over": dict(self._listing.passed_over)}
            counts |= {"repeated": self._listing.repeated, "changed": self._changed}
            write_whole(self._request.summary, json.dumps(counts, indent=1, ensure_ascii=False) + "\n")
        search = self._listing.lines()
        if self._changed:
            what = f"{self._changed} files have changed since their rows were written, which hold the old verdict"
            search = [*search, f"{what}; to judge everything anew: --overwrite"]
        if self._request.quiet:
            lines = [*search, *self._summary.caveats()]
        else:
            lines = list(self._summary.lines(seconds, self._destination.name, ended, search))
        if self._request.quiet or self._destination.path is None:
            for line in lines:
                click.echo(printable(line), err=True)
            return
        with guarded(self._destination.stream):
            click.echo("\n".join(map(printable, lines)), file=self._destination.stream)

    def _how_to_go_on(self, ctx: click.Context) -> str:
        if not self._destination.resumable:
            return "interrupted; a run with -o FILE can be continued later, with --resume"
        return f"interrupted; to continue: {called_with(ctx, '--resume', without=['--overwrite'])}"


def _row_identity(place: str, sha256: str | None) -> str:
    return f"{place} {sha256}"


@click.command("list")
def list_() -> None:
    """Show the chains that ship with d2f, what each is, and what it wants that is not here."""
    from d2f.chain.chain import load_chain, shipped_names
    from d2f.cli.judge import absent_weights

    for name in shipped_names():
        loaded = load_chain(name)
        click.echo(f"{name:8} {loaded.file.description}")
        if absent := absent_weights(loaded):
            click.echo(f"{'':8} its weights are missing: d2f weights pull {' '.join(absent)}")


@click.command()
@click.argument("chain")
def check(chain: str) -> None:
    """Find every problem of CHAIN at once, each with its place and a next step.

    Exit code 0: none, or warnings only. 2: some. 3: a plugin that the chain needs is broken.
    """
    from d2f.chain.chain import chain_text
    from d2f.chain.check import check_text
    from d2f.plugins.catalog import Catalog

    checked = check_text(chain_text(chain), Catalog.discover())
    if checked.file is None:
        raise D2FError(checked.problems, checked.exit)
    print_problems(checked.problems)
    if not checked.problems:
        click.echo(f"{chain}: no problem found")


@click.command()
def schema() -> None:
    """Print the JSON schema (draft 2020-12) of chain files, with the options of the stages that are installed.

    To have an editor with a YAML language server check a chain file as it is written:

    \b
      d2f chain schema > chain.schema.json
      # yaml-language-server: $schema=chain.schema.json      <- the first line of the chain file
    """
    from d2f.chain.model import chain_schema
    from d2f.plugins.catalog import Catalog

    click.echo(json.dumps(chain_schema(Catalog.discover()), indent=2, ensure_ascii=False))


@click.command()
@click.argument("chain")
def show(chain: str) -> None:
    """Draw CHAIN: its views, detectors, calibrations, thresholds and weights."""
    from d2f.chain.chain import load_chain
    from d2f.chain.show import draw

    loaded = load_chain(chain)
    print_drawing(draw(loaded))
    # That it is not fitted, the drawing says.
    print_problems(problem for problem in loaded.warnings if problem.code != "D2F127")


def print_drawing(lines: Sequence[Line]) -> None:
    """Print a drawing, in colour where stdout is a terminal that wants it."""
    from d2f.chain.show import plain_text
    from d2f.cli.main import wants_colour

    if not wants_colour(sys.stdout):
        click.echo(plain_text(lines))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for one in lines:
        console.print(Text.assemble(*((ink.text, ink.style) for ink in one)))
