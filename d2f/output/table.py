"""A table for a person: a file, its verdict, and what spoke for it, printed as they come."""

from __future__ import annotations

import sys
import textwrap
from functools import partial
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from d2f.api.rows import Row
from d2f.files import explained
from d2f.output.append import guarded
from d2f.output.lines import printable
from d2f.output.summary import WIDEST, evidence_lines, verdict_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import IO

PLAIN_WIDTH = 80
VERDICT_WIDTH = WIDEST + len("  0.0000")
GAP = "  "
HEADINGS = ("file", "verdict, probability", "evidence: + AI, - camera")
COLOURS = {"generated": "red", "real": "green", "inconclusive": "yellow", None: "bold magenta"}


class TableWriter:
    """Writes rows as they come; with colour and rules on a terminal, plain elsewhere."""

    def __init__(self, console: Console, file: IO[str] | None = None, name: str = "") -> None:
        self._console, self._file = console, file
        behind: Callable[[], AbstractContextManager[None]]
        behind = partial(guarded, console.file) if file is None else partial(explained, name)
        self._guarded = behind
        self._widths = column_widths(console.width)
        self._headed = False

    def write(self, row: Row) -> None:
        """Print one row, of one line or more."""
        self._head()
        colour = COLOURS[row.verdict]
        evidence = [
            line
            for finding in evidence_lines(row)
            for line in textwrap.wrap(finding, self._widths[2], break_on_hyphens=False)
        ]
        for number, words in enumerate(evidence or [""]):
            first = not number
            file = shortened(printable(row.path), self._widths[0]) if first else ""
            self._line((file, verdict_text(row) if first else "", words), ("", colour if first else "", ""))

    def close(self) -> None:
        """Print the headings if nothing else was, and close the file."""
        self._head()
        if self._file is not None:
            with self._guarded():
                self._file.close()

    def _head(self) -> None:
        if self._headed:
            return
        self._headed = True
        self._line(HEADINGS, ("bold", "bold", "bold"))
        if self._console.is_terminal:
            self._line(tuple("─" * width for width in self._widths), ("dim", "dim", "dim"))

    def _line(self, texts: tuple[str, ...], styles: tuple[str, ...]) -> None:
        padded = [set_cell_size(text, width) for text, width in zip(texts[:-1], self._widths, strict=False)]
        line = Text(GAP).join(Text(text, style) for text, style in zip([*padded, texts[-1]], styles, strict=True))
        line.rstrip()
        with self._guarded():
            self._console.print(line, soft_wrap=True, highlight=False)


class HonestConsole(Console):
    """A console that says so when its pipe is closed, instead of ending the program."""

    def on_broken_pipe(self) -> None:
        """Raise the BrokenPipeError that is being handled."""
        raise


def plain_console(file: IO[str] | None = None) -> Console:
    """Return a console of `PLAIN_WIDTH` without colour, on `file` or the standard output."""
    return HonestConsole(file=file or sys.stdout, width=PLAIN_WIDTH, force_terminal=False, no_color=True)


def column_widths(width: int) -> tuple[int, int, int]:
    """Return the widths of the three columns, in terminal cells, for a terminal `width` cells wide."""
    left = max(width, PLAIN_WIDTH // 2) - VERDICT_WIDTH - 2 * len(GAP)
    file = max(left - max(len(HEADINGS[2]), left // 2), 12)
    return file, VERDICT_WIDTH, max(left - file, 12)


def shortened(path: str, width: int) -> str:
    """Return `path` in `width` terminal cells; the middle of a longer one gives way to an ellipsis.

    >>> shortened("holidays/2019/island/IMG_0001.jpg", 24)
    'holidays/2…/IMG_0001.jpg'
    """
    if cell_len(path) <= width:
        return path
    folder, slash, name = path.rpartition("/")
    end = slash + name
    if not folder or cell_len(end) > width - 4:
        end = path
        while cell_len(end) > width // 2:
            end = end[1:]
    return set_cell_size(path, width - 1 - cell_len(end)).rstrip() + "…" + end
