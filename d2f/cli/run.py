"""`d2f chain run`: images scored, rows written and continued, the run recorded and told of."""

from __future__ import annotations

import hashlib
import json
import math
import os
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
from d2f.cli.log import LOG_FORMATS, RunLog, StageTimes
from d2f.cli.main import ClosedOutput, Interruption, RememberingCommand, called_with, rows_only
from d2f.cli.options import ALLOW_MISSING, TRUST_LIST, Destination, Quantity
from d2f.engine.duplicates import Duplicates
from d2f.files import require_new_file, write_whole
from d2f.images.files import STANDARD_INPUT, find_images, is_listed_at_once
from d2f.images.sources import last_touched
from d2f.images.walk import Listing, location
from d2f.output import Done, Format, Head, Summary, Writer
from d2f.output.append import guarded
from d2f.output.lines import printable
from d2f.output.opening import SUFFIX, RunRecord
from d2f.progress import BackgroundCount, Progress

if TYPE_CHECKING:
    from d2f.api.rows import Row
    from d2f.chain.chain import Chain
    from d2f.explain.gallery import GalleryWriter


SECONDS = click.FloatRange(0.0, min_open=True)
FORMATS = ("table", "jsonl", "csv", "parquet")
NAMED = 20
"""How many of the arguments that name images are recorded."""


@click.command(cls=RememberingCommand)
@click.argument("chain")
@click.argument("images", nargs=-1, metavar="[IMAGE|DIR|GLOB|MANIFEST|ARCHIVE|URL|-]...")
@click.option("-o", "--output", metavar="FILE", help="Write rows to FILE; its ending says the format.")
@click.option("--format", type=click.Choice(FORMATS), help="Default: by FILE's ending; without FILE, table.")
@click.option("--resume", is_flag=True, help="Continue FILE where an earlier run of the same chain stopped.")
@click.option("--overwrite", is_flag=True, help="Replace FILE.")
@click.option("--engine", default="local", show_default=True, metavar="NAME", help="local, or ray: a Ray cluster.")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Processes. Default: cores; 1 for few images.")
@click.option("--time-limit", type=SECONDS, metavar="S", help="Of a stage for an image. Default: 120 s in workers.")
@click.option("--memory-limit", type=Quantity(), metavar="N", help="Bytes of a process. Default: its share of memory.")
@click.option("--max-bytes", type=Quantity(), metavar="N", help="Refuse larger files. Default: 640Mi.")
@click.option("--max-pixels", type=Quantity(), metavar="N", help="Refuse larger images. Default: 128Mi.")
@ALLOW_MISSING
@click.option(
    "--all-files", is_flag=True, help="Take every file of a folder, whatever its ending; hidden ones excepted."
)
@click.option("-0", "--null", is_flag=True, help="Paths on standard input end in NUL, as find -print0 writes them.")
@click.option("--once", is_flag=True, help="Score files of equal content once; the others have that row's scores.")
@click.option("--log-format", type=click.Choice(LOG_FORMATS), default="text", help="json: an object a line on stderr.")
@click.option("--summary", metavar="FILE", help="Also write the summary's counts to FILE, as JSON.")
@click.option("--report", metavar="DIR", help="Also write a gallery of the images there, for a browser.")
@TRUST_LIST
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
    engine: str,
    workers: int | None,
    time_limit: float | None,
    memory_limit: int | None,
    max_bytes: int | None,
    max_pixels: int | None,
    allow_missing: bool,
    all_files: bool,
    null: bool,
    once: bool,
    log_format: str,
    summary: str | None,
    report: str | None,
    trust_list: str | None,
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

    FILE.run.json beside the output records each run: chain, versions, machine, counts and times. SIGUSR1 has the
    counters and the rate so far printed on stderr.
    """
    from d2f.cores import one_blas_thread

    one_blas_thread()
    from d2f.chain.chain import load_chain

    limits = {"bytes": max_bytes, "pixels": max_pixels}
    bounds = Bounds(**{name: most for name, most in limits.items() if most is not None})
    log = RunLog(log_format == "json")
    if progress is None:
        progress = sys.stderr.isatty() and not quiet
    if summary is not None:
        require_new_file(summary, overwrite or resume)
        if output is not None and os.path.realpath(summary) == os.path.realpath(output):
            raise click.UsageError("--summary and -o name the same file")
    if time_limit is not None and not math.isfinite(time_limit):
        raise click.BadParameter("it must be a finite number", param_hint="'--time-limit'")
    with log.problems(), rows_only() as stdout:
        destination = Destination.of(output, format, resume, overwrite, stdout)
        loaded = load_chain(chain, allow_missing=allow_missing)
        loaded = loaded.with_trust_list(trust_list)
        log.tell_problems(loaded.warnings)
        named = images or _named_in_file(loaded, chain)
        _require_no_source({"-o": destination.path, "--summary": summary}, named)
        processes = {"engine": engine, "workers": workers, "time_limit": time_limit, "memory_limit": memory_limit}
        if null and STANDARD_INPUT not in named:
            raise click.UsageError("-0 needs - among what is named: paths from standard input")
        listing = _listing(all_files, null, destination.path, summary)
        shown = quiet, progress, log
        request = RunRequest(named, bounds, processes, listing, once, summary, report, *shown)
        return RunRows(loaded, request, destination).finish(ctx)


def _require_no_source(outputs: Mapping[str, str | None], named: Sequence[str]) -> None:
    """Refuse to write to a file that images are read from."""
    for option, path in outputs.items():
        for source in named:
            # What is not there yet is no source.
            with suppress(OSError, ValueError):
                if path is not None and os.path.samefile(path, source):
                    raise click.UsageError(f"{option} names '{source}', which images are read from")


def _listing(all_files: bool, null: bool, *outputs: str | None) -> Listing:
    """Return the search of a run, which does not take what the run itself writes."""
    files = frozenset(location(path) for path in outputs if path is not None)
    return Listing(all_files, null, outputs=files | {f"{path}{SUFFIX}" for path in files})


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What is to be scored, within what bounds, and what is shown meanwhile."""

    images: Sequence[str]
    bounds: Bounds
    processes: Mapping[str, Any]
    listing: Listing
    once: bool
    summary: str | None
    report: str | None
    quiet: bool
    progress: bool
    log: RunLog


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
        self._duplicates = Duplicates() if request.once else None
        self._record: RunRecord | None = None
        self._gallery = _gallery(request.report, chain)
        self._console, self._log = destination.console(), request.log
        self._begun, self._stages = time.monotonic(), StageTimes()

    def finish(self, ctx: click.Context) -> int:
        """Score and write every image; return the exit code."""
        interruption = Interruption()
        with interruption, self._log.on_signal(lambda: self._summary.pulse(time.monotonic() - self._begun)):
            try:
                self._write_all(interruption)
            except KeyboardInterrupt:
                self._close_gallery(ended=False)
                self._report("interrupted")
                self._log.tell("interrupted", self._how_to_go_on(ctx))
                return interruption.exit_code
            self._close_gallery()
            self._report()
        return self._summary.exit

    def _close_gallery(self, ended: bool = True) -> None:
        if self._gallery is not None:
            self._gallery.close(ended)

    def _write_all(self, interruption: Interruption) -> None:
        with closing(self._rows()) as rows:
            writer = self._destination.open(self._head, self._seen, self._console)
            try:
                self._begin_record()
                self._write(rows, writer, interruption)
            except Exception:
                # What was written stays; a second error from the same disk would hide the first.
                with suppress(Exception):
                    writer.close()
                with suppress(Exception):
                    self._end_record("failed", time.monotonic() - self._begun)
                raise
            except KeyboardInterrupt:
                writer.close()
                raise

    def _begin_record(self) -> None:
        if self._destination.recorded and self._destination.path is not None:
            chain, given = self._chain, self._request
            facts = {"chain": chain.name, "chain_digest": chain.digest, "plugins": dict(chain.plan.plugins)}
            record = RunRecord(self._destination.path, self._destination.mode)
            record.begin({**facts, **given.processes, "images": list(given.images[:NAMED])})
            self._record = record

    def _end_record(self, how: str, seconds: float) -> None:
        if self._record is not None:
            self._record.end(how, {"counts": self._counts(seconds, how), "stages": self._stages.data()})

    def _write(self, rows: Any, writer: Writer, interruption: Interruption) -> None:
        self._begun = time.monotonic()
        with self._progress() as progress, self._count(progress):
            progress.start(self._summary.images)
            for row in rows:
                with interruption.afterwards():
                    writer.write(row)
                    self._summary.add(row)
                    if self._gallery is not None:
                        self._gallery.add(row)
                progress.advance()
                self._log.now_and_then(lambda: self._summary.pulse(time.monotonic() - self._begun))
        with interruption.afterwards():
            writer.close()

    def _rows(self) -> Any:
        given = self._request
        return self._chain.run(
            given.images,
            **given.processes,
            bounds=given.bounds,
            only=self._is_due,
            on_event=self._stages.add,
            listing=self._listing,
            duplicates=self._duplicates,
        )

    def _is_due(self, path: str) -> bool:
        """Whether a file has no row yet, or another content than that of its rows."""
        if not self._done or (place := location(path)) not in self._done:
            return True
        changed = self._has_changed(path, place)
        self._changed += changed
        return changed

    def _has_changed(self, path: str, place: str) -> bool:
        """Whether a file was replaced after its row: touched since the output was written, and of another digest."""
        from d2f.images.read import read_bytes

        digest = None
        try:
            if last_touched(path) <= self._written_at:
                return False
            digest = hashlib.sha256(read_bytes(path, self._request.bounds)).hexdigest()
        except (OSError, D2FError):  # its row says the same, unless it could be read then
            pass
        return _row_identity(place, digest) not in self._digests

    def _seen(self, row: Row) -> None:
        place = location(row.path)
        self._done.add(place)
        self._digests.add(_row_identity(place, row.sha256))
        self._summary.add(row, earlier=True)
        if self._gallery is not None:
            self._gallery.add(row)
        if self._duplicates is not None:
            self._duplicates.add(row)

    def _progress(self) -> Progress:
        return Progress(
            console=self._console or Console(stderr=True),
            lines=True,
            shown=self._request.progress and not self._log.is_json,
        )

    def _count(self, progress: Progress) -> BackgroundCount:
        """Count the images meanwhile, where they can be listed twice."""
        listed, given = self._request.images, self._listing
        if not is_listed_at_once(listed):
            return BackgroundCount(lambda: (), lambda total: None)
        search = Listing(given.all_files, outputs=given.outputs)
        return BackgroundCount(lambda: find_images(listed, search), lambda n: progress.update(total=n))

    def _counts(self, seconds: float, how: str) -> dict[str, Any]:
        counts = {**self._summary.counts(seconds, how == "complete"), "passed_over": dict(self._listing.passed_over)}
        copied = {} if self._duplicates is None else {"duplicates": self._duplicates.count}
        return counts | {"repeated": self._listing.repeated, "changed": self._changed, **copied}

    def _report(self, how: str = "complete") -> None:
        seconds, ended = time.monotonic() - self._begun, how == "complete"
        counts = self._counts(seconds, how)
        self._end_record(how, seconds)
        if self._request.summary is not None:
            write_whole(self._request.summary, json.dumps(counts, indent=1, ensure_ascii=False) + "\n")
        if self._log.is_json:
            facts = {**self._summary.pulse(seconds), "counts": counts, "stages": self._stages.data()}
            self._log.event("end", how=how, exit=int(self._summary.exit), **facts)
            return
        search = self._listing.lines()
        if self._changed:
            files = "1 file has" if self._changed == 1 else f"{self._changed} files have"
            search = [*search, f"{files} changed since the row was written, and another row, of the new content"]
        if self._duplicates is not None and self._duplicates.count:
            search = [*search, f"{self._duplicates.count} duplicates, whose rows are copies of the first one's"]
        if self._request.quiet:
            lines = [*search, *self._summary.caveats()]
        else:
            lines = list(self._summary.lines(seconds, self._destination.name, ended, search))
        if self._request.quiet or self._destination.path is None or isinstance(self._destination.stream, ClosedOutput):
            for line in lines:
                click.echo(printable(line), err=True)
            return
        with guarded(self._destination.stream):
            click.echo("\n".join(map(printable, lines)), file=self._destination.stream)

    def _how_to_go_on(self, ctx: click.Context) -> str:
        if not self._destination.resumable:
            return "interrupted; a run with -o FILE can be continued later, with --resume"
        return f"interrupted; to continue: {called_with(ctx, '--resume', without=['--overwrite'])}"


def _gallery(folder: str | None, chain: Chain) -> GalleryWriter | None:
    if folder is None:
        return None
    from d2f.explain.gallery import GalleryWriter

    return GalleryWriter(folder, chain)


def _row_identity(place: str, sha256: str | None) -> str:
    return f"{place} {sha256}"
