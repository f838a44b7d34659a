"""How far a run is: a live bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from d2f.api.errors import D2FError
from d2f.images.files import STANDARD_INPUT, find_images


@contextmanager
def ticking(what: str, total: int) -> Iterator[Callable[[], None] | None]:
    """Show a bar with count and time left on stderr while this context is open; yield what moves it by one.

    Where stderr is no terminal, nothing is shown and None is yielded.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)


LINE_EVERY = 10.0
"""Seconds between two lines where there is no terminal."""


class Meter(Protocol):
    """Is told of every image that is done."""

    def start(self, done: int) -> None:
        """Begin to count; `done` images were done by an earlier run."""

    def step(self) -> None:
        """Count one image more."""


class NoMeter:
    """Shows nothing."""

    def start(self, done: int) -> None:
        """Show nothing."""

    def step(self) -> None:
        """Show nothing."""


class Bar:
    """A live bar; the total comes from a count in the background, so that nothing waits for it."""

    def __init__(self, console: Console, paths: Sequence[str]) -> None:
        columns = (BarColumn(24), Count(), Rate(), TimeRemainingColumn(compact=True), TextColumn("left"))
        stderr = console.stderr
        self._progress = Progress(
            *columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=stderr
        )
        self._task = self._progress.add_task("", total=None)
        self._paths = paths
        self._counting = Counting(paths, lambda total: self._progress.update(self._task, total=total))

    def __enter__(self) -> Bar:
        self._progress.start()
        self._counting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._counting.stop()
        self._progress.stop()

    def start(self, done: int) -> None:
        """Begin to count."""
        self._progress.update(self._task, completed=done)

    def step(self) -> None:
        """Count one image more."""
        self._progress.advance(self._task)


class Count(ProgressColumn):
    """``512 of 1204 images``."""

    def render(self, task: Task) -> Text:
        """Return the text."""
        return Text(f"{int(task.completed)}{'' if task.total is None else f' of {int(task.total)}'} images")


class Rate(ProgressColumn):
    """``19.7 a second``."""

    def render(self, task: Task) -> Text:
        """Return the text."""
        return Text("" if task.speed is None else f"{task.speed:.1f} a second", "dim")


class Lines:
    """A line on stderr every `LINE_EVERY` seconds, for logs."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._total = ""
        self._counting = Counting(paths, self._counted)

    def __enter__(self) -> Lines:
        self._done = self._earlier = 0
        self._begun = self._told = time.monotonic()
        self._counting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._counting.stop()

    def start(self, done: int) -> None:
        """Begin to count."""
        self._done = self._earlier = done
        self._begun = self._told = time.monotonic()

    def step(self) -> None:
        """Count one image more; print a line if it is time."""
        self._done += 1
        now = time.monotonic()
        if now - self._told >= LINE_EVERY:
            self._told = now
            rate = (self._done - self._earlier) / (now - self._begun)
            click.echo(f"{self._done}{self._total} images, {rate:.1f} a second", err=True)

    def _counted(self, total: int) -> None:
        self._total = f" of {total}"


class Counting(threading.Thread):
    """Counts images in the background and tells the total; tells nothing where that cannot be known."""

    def __init__(self, paths: Sequence[str], tell: Callable[[int], object]) -> None:
        super().__init__(name="d2f-count", daemon=True)
        self._paths = paths
        self._tell = tell
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Give up."""
        self._stopped.set()

    def run(self) -> None:
        """Count."""
        if STANDARD_INPUT in self._paths:
            return
        total = 0
        try:
            for _ in find_images(self._paths):
                total += 1
                if self._stopped.is_set():
                    return
        except (D2FError, OSError):
            return
        self._tell(total)


def meter(wanted: bool, console: Console, paths: Sequence[str]) -> AbstractContextManager[Meter]:
    """Return what shows the progress of a run over `paths`, on `console` if it is a terminal."""
    if not wanted:
        return nullcontext(NoMeter())
    return Bar(console, paths) if console.is_terminal else Lines(paths)
