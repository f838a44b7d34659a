"""What is wrong with a plugin, kept until somebody asks for what it would have offered."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import PurePath

from d2f.api.errors import Problem
from d2f.plugins.entry_points import Origin


@dataclass(frozen=True, slots=True)
class Fault:
    """A problem of a plugin.

    Parameters
    ----------
    problem : Problem
        Located at the plugin's entry point.
    origin : Origin or None
        The plugin; None for a stage that was given by hand.
    kind : str or None
        The kind of stage that is lost; None where it may be any.
    stage : str or None
        The name of the one stage that is lost; None where it may be any.
    traceback : str
        Where something was raised.
    """

    problem: Problem
    origin: Origin | None
    kind: str | None = None
    stage: str | None = None
    traceback: str = ""

    def explains(self, kind: str, name: str) -> bool:
        """Whether this is why no stage `name` of this kind is there."""
        if self.kind not in (None, kind):
            return False
        if self.stage is not None:
            return self.stage == name
        return self.origin is not None and self.origin.answers_to(name)


def raised(code: str, message: str, origin: Origin, error: BaseException, kind: str | None = None) -> Fault:
    """Return the fault that an exception in a plugin's code is."""
    notes = (blame(error, origin.module), f"to see the traceback: d2f plugin check {origin.entry_point}")
    problem = Problem(code, message, origin.place, notes=notes)
    return Fault(problem, origin, kind, traceback="".join(traceback.format_exception(error)))


def blame(error: BaseException, module: str) -> str:
    """Return an exception in one line, with the last place in `module` (top-level) that it came through."""
    text = f"{type(error).__name__}: {error}".splitlines()[0].removesuffix(": ")
    where = last_frame(error, module)
    return f"{text}   at {where}" if where else text


def last_frame(error: BaseException, module: str) -> str:
    """Return ``file:line`` of the last place in `module` (top-level) that an exception came through, or nothing."""
    if isinstance(error, SyntaxError) and error.filename and module in _stems(error.filename):
        return f"{_short(error.filename, module)}:{error.lineno}"
    where = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if str(frame.f_globals.get("__name__")).partition(".")[0] == module:
            where = f"{_short(frame.f_code.co_filename, module)}:{line}"
    return where


def _short(filename: str, module: str) -> str:
    """Return a path from the plugin's own folder on, as its author knows it."""
    parts, stems = PurePath(filename).parts, _stems(filename)
    if module not in stems:
        return filename
    start = len(stems) - 1 - stems[::-1].index(module)
    return "/".join(parts[start:])


def _stems(filename: str) -> list[str]:
    parts = list(PurePath(filename).parts)
    return [*parts[:-1], PurePath(filename).stem]
