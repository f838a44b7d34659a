"""One display of how far work is, on stderr: a live bar on a terminal, a line now and then elsewhere, or nothing."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress

LINE_EVERY = 10.0
"""Seconds between two lines where there is no terminal."""


class Progress:
    """Progress of countable work; enter it, then `start`, `advance` or `update`.

    `unit` is what is counted (``bytes`` shows amounts and transfer speed); `total` may be given later by `update`.
    `console` is stderr by default; `lines` prints a line now and then where there is no terminal; not `shown`, nothing
    is.
    """

    def __init__(
        self,
        what: str = "",
        unit: str = "images",
        total: int | None = None,
        *,
        console: Console | None = None,
        lines: bool = False,
        shown: bool = True,
    ) -> None:
        self.what, self.unit, self.total = what, unit, total
        self._console, self._lines, self._shown = console, lines, shown
        self._done = self._earlier = 0
        self._begun = self._printed = time.monotonic()
        self._bar: RichProgress | None = None

    def __enter__(self) -> Self:
        on_terminal = self._console.is_terminal if self._console is not None else sys.stderr.isatty()
        if self._shown and on_terminal:
            self._bar = self._make_bar()
            self._bar.add_task(self.what, total=self.total, words="", count=self._count())
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def start(self, done: int = 0) -> None:
        """Begin to count; `done` were done by an earlier run and do not enter the rate."""
        self._earlier = self._done = done
        self._begun = self._printed = time.monotonic()
        self.update(done)

    def advance(self) -> None:
        """Count one more."""
        self.update(self._done + 1)

    def update(self, done: int | None = None, total: int | None = None, what: str = "", words: str = "") -> None:
        """Set how much is done, of how much, and what is being done, with some `words` such as a loss."""
        self._done = self._done if done is None else done
        self.total = self.total if total is None else total
        self.what = what or self.what
        if self._bar is not None:
            task = self._bar.task_ids[0]
            facts = {"completed": self._done, "total": self.total, "words": words, "count": self._count()}
            self._bar.update(task, description=self.what, **facts)  # type: ignore[arg-type]
        elif self._lines and self._shown:
            self._line_if_due()

    def say(self, line: str) -> None:
        """Print a sentence, above the bar where there is one."""
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, markup=False)
        elif self._shown:
            print(line, file=sys.stderr)

    def refresh(self) -> None:
        """Draw the bar now, not at its next turn."""
        if self._bar is not None:
            self._bar.refresh()

    def _line_if_due(self) -> None:
        now = time.monotonic()
        if self._done <= self._earlier or now - self._printed < LINE_EVERY:
            return
        self._printed = now
        rate = (self._done - self._earlier) / (now - self._begun)
        print(f"{self._count()}, {rate:.1f} a second", file=sys.stderr)

    def _count(self) -> str:
        """Return ``512 of 1204 images``."""
        return f"{self._done}{'' if self.total is None else f' of {self.total}'} {self.unit}"

    def _make_bar(self) -> RichProgress:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            ProgressColumn,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )
        from rich.progress import Progress as RichProgress

        console = self._console or Console(stderr=True)
        counted: tuple[ProgressColumn, ...] = (TextColumn("{task.fields[count]}"),)
        if self.unit == "bytes":
            counted = (DownloadColumn(), TransferSpeedColumn())
        columns = (TextColumn("{task.description}"), BarColumn(24), *counted, TextColumn("{task.fields[words]}"))
        # Rows on stdout must not be captured by a bar that is drawn on stderr.
        return RichProgress(
            *columns,
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=console.stderr,
        )


class BackgroundCount(threading.Thread):
    """Counts in the background and gives the total to `report`; reports nothing where counting fails."""

    def __init__(self, items: Callable[[], Iterable[object]], report: Callable[[int], object]) -> None:
        super().__init__(name="d2f-count", daemon=True)
        self._items, self._report = items, report
        self._stopped = threading.Event()

    def __enter__(self) -> BackgroundCount:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()

    def run(self) -> None:
        """Count."""
        from d2f.api.errors import D2FError

        total = 0
        try:
            for _ in self._items():
                total += 1
                if self._stopped.is_set():
                    return
        except (D2FError, OSError):
            return
        self._report(total)
