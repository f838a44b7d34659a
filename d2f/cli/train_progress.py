"""How far training is: a live bar with loss and rate on a terminal, a line an epoch elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from d2f.train.measuring import Measured


class Lines:
    """A line now and then, on stderr."""

    def say(self, line: str) -> None:
        """Print a sentence."""
        click.echo(line, err=True)

    def images(self, done: int, total: int) -> None:
        """Print every twentieth part."""
        if total >= 200 and done % (total // 20) == 0:
            click.echo(f"tiles of {done} of {total} images", err=True)

    def step(self, epoch: int, done: int, total: int, loss: float, rate: float) -> None:
        """Print nothing: an epoch has its line."""

    def epoch(self, epoch: int, loss: float, figures: Measured, best: bool) -> None:
        """Print an epoch's figures."""
        mark = ", best so far" if best else ""
        self.say(
            f"epoch {epoch + 1}: loss {loss:.4f}; validation loss {figures.loss:.4f}, "
            f"accuracy {figures.accuracy:.3f}, AUC {figures.auc:.3f}{mark}"
        )


class Bar(Lines):
    """A live bar."""

    def __init__(self, progress: Any) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None, words="")

    def say(self, line: str) -> None:
        """Print a sentence above the bar."""
        self._progress.console.print(line, highlight=False, markup=False)

    def images(self, done: int, total: int) -> None:
        """Show how many images were decoded."""
        self._progress.update(self._task, description="tiles", completed=done, total=total, words="images")

    def step(self, epoch: int, done: int, total: int, loss: float, rate: float) -> None:
        """Show an epoch's updates, its loss and the rate."""
        words = f"loss {loss:.4f}  rate {rate:.2g}"
        self._progress.update(self._task, description=f"epoch {epoch + 1}", completed=done, total=total, words=words)


@contextmanager
def meter() -> Iterator[Lines]:
    """Yield what shows the progress: a bar where stderr is a terminal."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[words]}"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as progress:
        yield Bar(progress)
