"""One run of a chain, from its first row to its summary."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, closing, redirect_stdout, suppress
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from d2f.cli.destination import Destination
from d2f.cli.interruption import Interruption
from d2f.cli.remembering import called_with
from d2f.cli.run_meter import Meter, meter
from d2f.output import Done, Head, Summary, Writer
from d2f.output.standard_output import guarded
from d2f.reading.bounds import Bounds

if TYPE_CHECKING:
    from d2f.api.rows import Row
    from d2f.chain.chain import Chain


class RunRows:
    """Scores images, writes their rows and sums them up.

    Parameters
    ----------
    chain : Chain
    images : sequence of str
        As the user named them.
    destination : Destination
    options : mapping
        ``workers``, ``max_bytes``, ``max_pixels``, ``quiet`` and ``progress`` of the command line.
    """

    def __init__(
        self, chain: Chain, images: Sequence[str], destination: Destination, options: Mapping[str, Any]
    ) -> None:
        self._chain, self._images, self._destination, self._options = chain, images, destination, options
        self._head = Head.of(chain.name, chain.digest, chain.plan.cells)
        self._done, self._summary = Done(), Summary(self._head)
        self._console = destination.console()
        self._begun = time.monotonic()

    def finish(self, ctx: click.Context) -> int:
        """Score and write every image; return the exit code."""
        interruption = Interruption()
        # What plugins print would stand among the rows.
        with interruption, redirect_stdout(sys.stderr):
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
        with self._meter() as meter:
            meter.start(self._summary.images)
            for row in rows:
                with interruption.afterwards():
                    writer.write(row)
                    self._summary.add(row)
                meter.step()
        with interruption.afterwards():
            writer.close()

    def _rows(self) -> Any:
        named = {"bytes": self._options["max_bytes"], "pixels": self._options["max_pixels"]}
        bounds = Bounds(**{name: most for name, most in named.items() if most is not None})
        return self._chain.run(self._images, workers=self._options["workers"], bounds=bounds, only=self._is_due)

    def _is_due(self, path: str) -> bool:
        return not self._done.take(path)

    def _seen(self, row: Row) -> None:
        self._done.add(row.path)
        self._summary.add(row, earlier=True)

    def _meter(self) -> AbstractContextManager[Meter]:
        wanted = self._options["progress"]
        if wanted is None:
            wanted = sys.stderr.isatty() and not self._options["quiet"]
        return meter(wanted, self._console or Console(stderr=True), self._images)

    def _report(self, ended: bool = True) -> None:
        if self._options["quiet"]:
            return
        lines = self._summary.lines(time.monotonic() - self._begun, self._destination.name, ended)
        if self._destination.path is None:
            click.echo("\n".join(lines), err=True)
            return
        with guarded(self._destination.stream):
            click.echo("\n".join(lines), file=self._destination.stream)

    def _how_to_go_on(self, ctx: click.Context) -> str:
        if not self._destination.resumable:
            return "interrupted; a run with -o FILE can be continued later, with --resume"
        return f"interrupted; to continue: {called_with(ctx, '--resume', without=['--overwrite'])}"
