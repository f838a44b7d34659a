"""Where the rows of a run go."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

import click

from d2f.output import Format, Head, Mode, Writer, choose_format, open_writer
from d2f.output.formats import RESUMABLE
from d2f.output.standard_output import NAME

if TYPE_CHECKING:
    from rich.console import Console

    from d2f.api.rows import Row


@dataclass(frozen=True, slots=True)
class Destination:
    """A file, a folder of Parquet parts, or the standard output.

    Parameters
    ----------
    path : str or None
        None for the standard output.
    format : str
    mode : {'new', 'overwrite', 'resume'}
    stream : text file
        The standard output, as it was when this was made: later it is kept from plugins that print.
    """

    path: str | None
    format: Format
    mode: Mode
    stream: TextIO = field(default_factory=lambda: sys.stdout, compare=False)

    @classmethod
    def of(cls, output: str | None, format: Format | None, resume: bool, overwrite: bool) -> Destination:
        """Make it of what the command line says.

        Raises
        ------
        click.UsageError, D2FError
            The options contradict each other, or do not tell the format.
        """
        path = None if output == "-" else output
        if resume and overwrite:
            raise click.UsageError("--resume and --overwrite exclude each other")
        if path is None and (resume or overwrite):
            raise click.UsageError(f"{'--resume' if resume else '--overwrite'} needs -o FILE")
        return cls(path, choose_format(path, format), "resume" if resume else "overwrite" if overwrite else "new")

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return NAME if self.path is None else self.path

    @property
    def resumable(self) -> bool:
        """Whether a run that stopped can be continued here."""
        if self.path is None or self.format not in RESUMABLE:
            return False
        return os.path.isfile(self.path) or os.path.isdir(self.path)

    def console(self) -> Console | None:
        """Return the terminal that a table is shown on, if one is."""
        if self.path is not None or self.format != "table" or not self.stream.isatty():
            return None
        from d2f.output.table import HonestConsole

        return HonestConsole(file=self.stream)

    def open(self, head: Head, seen: Callable[[Row], None], console: Console | None) -> Writer:
        """Open it for rows; `seen` is called with those that an earlier run has written."""
        return open_writer(self.path, self.format, head, self.mode, seen, console, self.stream)
