"""A check: a small function that is given a stage under test, and a name that says what is held of the stage."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from d2f.testing.report import Result

if TYPE_CHECKING:
    from d2f.testing.subject import Subject

MOST_LINES = 4
"""Findings of one check that are told one by one."""


class Failed(Exception):
    """The stage does not keep what the check holds of it.

    Parameters
    ----------
    found : str or iterable of str
        What was found, a line each.
    next_step : str
        What the stage's author should do.
    """

    def __init__(self, found: str | Iterable[str], next_step: str) -> None:
        lines = (found,) if isinstance(found, str) else tuple(found)
        more = len(lines) - MOST_LINES
        self.found = (*lines[:MOST_LINES], f"and {more} more") if more > 0 else lines
        self.next_step = next_step
        super().__init__("; ".join(self.found))


class Skipped(Exception):
    """The check does not apply to this stage, or cannot be made here; the message says why."""


class NotMeant(Exception):
    """The check has nothing to do with a stage of this sort; it is not listed."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is held of a stage.

    Parameters
    ----------
    name : str
        What is held: ``construction is cheap``.
    run : callable
        Given a `Subject`; returns what it measured or "", raises `Failed`, `Skipped` or `NotMeant`.
    gate : bool
        Whether nothing further can be checked where this one does not pass.
    """

    name: str
    run: Callable[[Subject], str]
    gate: bool = False

    def __call__(self, subject: Subject) -> Result | None:
        """Return what the check finds of a stage, None where it is not meant for it."""
        try:
            return Result(self.name, "passed", self.run(subject))
        except Failed as error:
            return Result(self.name, "failed", "", error.found, error.next_step)
        except Skipped as error:
            return Result(self.name, "skipped", str(error))
        except NotMeant:
            return None


def check(name: str, *, gate: bool = False) -> Callable[[Callable[[Subject], str]], Check]:
    """Make a check of a function, under this name."""

    def made(function: Callable[[Subject], str]) -> Check:
        return Check(name, function, gate)

    return made


def fail_if(found: Iterable[str], next_step: str) -> None:
    """Raise `Failed` where anything was found."""
    lines = tuple(found)
    if lines:
        raise Failed(lines, next_step)
