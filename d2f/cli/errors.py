"""Problems on the terminal: all of them, in the order of the file, with their count."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

import click

from d2f.api.errors import Problem

COLOURS = {"error": "red", "warning": "yellow"}


def print_problems(problems: Iterable[Problem], stream: TextIO | None = None) -> None:
    """Print problems and their count, on stderr unless told otherwise; nothing where there are none."""
    ordered = in_order(tuple(problems))
    if not ordered:
        return
    colour = wants_colour(stream or sys.stderr)
    texts = [painted(problem) if colour else str(problem) for problem in ordered]
    click.echo("\n\n".join([*texts, counted(ordered)]), file=stream, err=stream is None, color=colour)


def in_order(problems: Sequence[Problem]) -> list[Problem]:
    """Return problems by file, as first named, then by line and column; those without a line come first."""
    files = list(dict.fromkeys(problem.place.file if problem.place else "" for problem in problems))
    return sorted(problems, key=lambda problem: _place(problem, files))


def counted(problems: Sequence[Problem]) -> str:
    """Return ``2 errors, 1 warning``."""
    counts = [(sum(problem.severity == word for problem in problems), word) for word in COLOURS]
    return ", ".join(f"{count} {word}{'s' if count != 1 else ''}" for count, word in counts if count)


def painted(problem: Problem) -> str:
    """Return a problem with the terminal's colours."""
    colour = COLOURS[problem.severity]
    head, *rest = str(problem).split("\n")
    tag, _, message = head.partition(": ")
    lines = [click.style(tag, fg=colour, bold=True) + ": " + click.style(message, bold=True)]
    for line in rest:
        lines.append(click.style(line, fg=colour) if re.match(r" +\| +\^", line) else _accented(line))
    return "\n".join(lines)


def wants_colour(stream: TextIO) -> bool:
    """Whether a stream is a terminal on which nobody has switched colours off (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _place(problem: Problem, files: list[str]) -> tuple[int, int, int]:
    place = problem.place
    return (files.index(place.file), place.line, place.column) if place else (files.index(""), 0, 0)


def _accented(line: str) -> str:
    return re.sub(r"^( *)(-->|=|\d+ \|)", lambda found: found[1] + click.style(found[2], fg="blue", bold=True), line)
