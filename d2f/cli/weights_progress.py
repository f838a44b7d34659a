"""What is seen of a file being fetched: a bar on a terminal, a line a source elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

import click

from d2f.weights.fetch import Watcher

if TYPE_CHECKING:
    from rich.progress import Progress


class Meter(Watcher):
    """A watcher on stderr, while its context is open."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._progress: Progress | None = None

    def __enter__(self) -> Meter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def source(self, source: str) -> None:
        """Name the source."""
        click.echo(f"{self._name}: from {source}", err=True)

    def waiting(self) -> None:
        """Say that another process has the turn."""
        click.echo(f"{self._name}: another process fetches them; waiting for it", err=True)

    def bytes(self, done: int, total: int | None) -> None:
        """Move the bar."""
        if self._progress is None and sys.stderr.isatty():
            self._progress = _bar()
            self._progress.add_task(self._name, total=total)
            self._progress.start()
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=done, total=total)


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
