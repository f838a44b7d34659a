"""What the checks found of a stage, as data and as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

MARKS = {"passed": "✓", "failed": "✗", "skipped": "-"}
PLAIN_MARKS = {"passed": "+", "failed": "x", "skipped": "-"}
"""What stands for `MARKS` on a terminal that cannot print them."""

State = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Result:
    """What one check found.

    Parameters
    ----------
    check : str
        What is held of the stage, such as ``construction is cheap``.
    state : {'passed', 'failed', 'skipped'}
    said : str
        What was measured, or why the check was skipped; empty where there is nothing to say.
    found : tuple of str
        Where it failed: what was found, a line each.
    next_step : str
        Where it failed: what its author should do.
    """

    check: str
    state: State
    said: str = ""
    found: tuple[str, ...] = ()
    next_step: str = ""

    def lines(self, width: int = 0, marks: dict[str, str] = MARKS) -> list[str]:
        """Return the result for a person; `said` begins after `width` characters of the check's name."""
        lines = [f"{marks[self.state]} {self.check:<{width}}  {self.said}".rstrip()]
        lines += [f"    {line}" for line in self.found]
        return lines + ([f"    next: {self.next_step}"] if self.next_step else [])


@dataclass(frozen=True, slots=True)
class Report:
    """Every check of one stage.

    Parameters
    ----------
    kind, name : str
        Such as ``detector``, ``sharpness``.
    origin : str
        Module and class.
    results : tuple of Result
        In the order in which they were found.
    """

    kind: str
    name: str
    origin: str
    results: tuple[Result, ...]

    @property
    def failed(self) -> tuple[Result, ...]:
        """The checks that failed."""
        return self.by_state("failed")

    @property
    def skipped(self) -> tuple[Result, ...]:
        """The checks that do not apply, or could not be made; `Result.said` says why."""
        return self.by_state("skipped")

    @property
    def passed(self) -> tuple[Result, ...]:
        """The checks that passed."""
        return self.by_state("passed")

    def by_state(self, state: State) -> tuple[Result, ...]:
        """Return the results in this state."""
        return tuple(result for result in self.results if result.state == state)

    def __getitem__(self, check: str) -> Result:
        """Return the result of a check, by its name."""
        for result in self.results:
            if result.check == check:
                return result
        raise KeyError(check)

    def __str__(self) -> str:
        """Every check, a line each, with what was measured and what is wrong."""
        return "\n".join([f"{self.kind} '{self.name}'", *self.lines()])

    def lines(self, marks: dict[str, str] = MARKS) -> list[str]:
        """Return the checks for a person, indented under the stage's name."""
        width = max((len(result.check) for result in self.results), default=0)
        return [f"  {line}" for result in self.results for line in result.lines(width, marks)]

    def complaint(self) -> str:
        """Return all that failed, then what passed and what was left out, in one text."""
        count = f"{len(self.failed)} of {_checks(self.results)}"
        lines = [f"{self.kind} '{self.name}' ({self.origin}) fails {count}:", ""]
        for result in self.failed:
            lines += [*(f"  {line}" for line in result.lines()), ""]
        lines += [f"passed: {'; '.join(result.check for result in self.passed) or 'none'}"]
        lines += [f"left out: {result.check} ({result.said})" for result in self.skipped]
        return "\n".join(lines)


def tally(reports: Sequence[Report]) -> str:
    """Return ``31 checks passed, 2 failed, 1 left out``."""
    results = [result for report in reports for result in report.results]
    counts = {state: sum(result.state == state for result in results) for state in MARKS}
    parts = [f"{counts['passed']} check{'s' if counts['passed'] != 1 else ''} passed"]
    parts += [f"{counts['failed']} failed"] if counts["failed"] else []
    parts += [f"{counts['skipped']} left out"] if counts["skipped"] else []
    return ", ".join(parts)


def _checks(results: Sequence[Result]) -> str:
    return f"{len(results)} check{'s' if len(results) != 1 else ''}"
