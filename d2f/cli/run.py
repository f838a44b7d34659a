"""`d2f chain run`: images scored, rows written and continued, the run recorded and told of.

What a run tells of itself on stderr while it goes on is words, or one JSON object a line (`RunLog`).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from d2f.api.errors import D2FError, Problem
from d2f.api.inputs import Bounds
from d2f.cli.main import ClosedOutput, Interruption, RememberingCommand, called_with, print_problems, rows_only
from d2f.cli.options import ALLOW_MISSING, TRUST_LIST, Destination, Quantity
from d2f.cores import one_blas_thread
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
    from d2f.api.outcomes import StageFinished
    from d2f.api.rows import Row
    from d2f.chain.chain import Chain
    from d2f.explain.gallery import GalleryWriter

SECONDS = click.FloatRange(0.0, min_open=True)
FORMATS = ("table", "jsonl", "csv", "parquet")
LOG_FORMATS = ("text", "json")
PROGRESS_SECONDS = 10.0
Facts = dict[str, Any]
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
        named = images or loaded.images
        if not named:
            message = f"no image was named, and chain '{loaded.name}' names none"
            raise D2FError.of("D2F003", message, f"d2f chain run {chain} FOLDER")
        _require_no_source({"-o": destination.path, "--summary": summary}, named)
        processes = {"engine": engine, "workers": workers, "time_limit": time_limit, "memory_limit": memory_limit}
        if null and STANDARD_INPUT not in named:
            raise click.UsageError("-0 needs - among what is named: paths from standard input")
        # The search does not take what the run itself writes.
        files = frozenset(location(path) for path in (destination.path, summary) if path is not None)
        listing = Listing(all_files, null, outputs=files | {f"{path}{SUFFIX}" for path in files})
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


class RunRows:
    """Scores images, writes their rows and sums them up."""

    def __init__(self, chain: Chain, request: RunRequest, destination: Destination) -> None:
        self._chain, self._request, self._destination = chain, request, destination
        self._head = Head.of(chain.name, chain.digest, chain.plan.members)
        self._done, self._summary, self._listing = Done(), Summary(self._head), request.listing
        self._digests, self._changed, self._written_at = Done(), 0, destination.modified
        self._duplicates = Duplicates() if request.once else None
        self._record: RunRecord | None = None
        self._gallery: GalleryWriter | None = None
        if request.report is not None:
            from d2f.explain.gallery import GalleryWriter

            self._gallery = GalleryWriter(request.report, chain)
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
                how = "interrupted; a run with -o FILE can be continued later, with --resume"
                if self._destination.resumable:
                    how = f"interrupted; to continue: {called_with(ctx, '--resume', without=['--overwrite'])}"
                self._log.tell("interrupted", how)
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
        shown, console = self._request.progress and not self._log.is_json, self._console or Console(stderr=True)
        with Progress(console=console, lines=True, shown=shown) as progress, self._count(progress):
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


def _row_identity(place: str, sha256: str | None) -> str:
    return f"{place} {sha256}"


class RunLog:
    """Tells problems, progress and the end of a run; progress in words is the progress bar's."""

    def __init__(self, is_json: bool) -> None:
        self.is_json = is_json
        self._told = time.monotonic()

    def event(self, name: str, **facts: Any) -> None:
        """Write one JSON object: time, name, facts."""
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": name, **facts}
        # Past Python's streams: a signal may come while one of them is being written to.
        os.write(2, json.dumps(line, ensure_ascii=True).encode() + b"\n")

    def tell(self, name: str, sentence: str) -> None:
        """Say a sentence."""
        if self.is_json:
            self.event(name, message=sentence)
        else:
            click.echo(sentence, err=True)

    def tell_problems(self, problems: Iterable[Problem]) -> None:
        """Say what is wrong."""
        if not self.is_json:
            print_problems(problems)
            return
        for one in problems:
            place = None if one.place is None else {"file": one.place.file, "line": one.place.line}
            facts = {"code": one.code, "message": one.message, "place": place, "notes": list(one.notes)}
            self.event("problem", severity=one.severity, **facts)

    @contextmanager
    def problems(self) -> Iterator[None]:
        """Tell the problems of an error that ends the block, where they are told as JSON; the exit code stays."""
        try:
            yield
        except D2FError as error:
            if not self.is_json:
                raise
            self.tell_problems(error.problems)
            raise click.exceptions.Exit(int(error.exit)) from None

    def now_and_then(self, facts: Callable[[], Facts]) -> None:
        """Write progress as JSON, where the last was some time ago."""
        if self.is_json and time.monotonic() - self._told >= PROGRESS_SECONDS:
            self._told = time.monotonic()
            self.event("progress", **facts())

    @contextmanager
    def on_signal(self, facts: Callable[[], Facts]) -> Iterator[None]:
        """Within this block, have SIGUSR1 tell the facts at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def told(*_: object) -> None:
            found = facts()
            if self.is_json:
                self.event("progress", **found)
                return
            rate, codes = found.pop("rate"), found.pop("codes")
            counts = ", ".join(f"{number} {name}" for name, number in (found | codes).items())
            os.write(2, f"{counts}; {rate} a second\n".encode())

        before = signal.signal(signal.SIGUSR1, told)
        try:
            yield
        finally:
            signal.signal(signal.SIGUSR1, before)


class StageTimes:
    """Images and seconds of each stage, over all threads and processes."""

    def __init__(self) -> None:
        self._images: Counter[str] = Counter()
        self._seconds: Counter[str] = Counter()

    def add(self, event: StageFinished) -> None:
        """Count a stage that has finished."""
        name = f"{event.kind} {event.name}" if event.kind != event.name else event.kind
        name += f"/{event.view}" if event.view else ""
        self._images[name] += event.images
        self._seconds[name] += event.seconds  # type: ignore[assignment]

    def data(self) -> Facts:
        """Return them as plain data, the slowest first."""
        return {
            name: {"images": self._images[name], "seconds": round(seconds, 3)}
            for name, seconds in self._seconds.most_common()
        }
