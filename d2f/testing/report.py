"""A catalog for tests: the built-in stages and those given, whatever else is installed."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Literal

from d2f.api.inputs import Weights
from d2f.plugins.catalog import Catalog

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
        count = f"{len(self.failed)} of {len(self.results)} check{'s' if len(self.results) != 1 else ''}"
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


OWN = __name__.rpartition(".")[0]
CALLS = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request")
_watching: dict[int, Seen] = {}
_installed = False


@dataclass(slots=True)
class Seen:
    """What was asked for.

    `opened` are paths of files opened for reading or writing, and `unpickled` the ``module.name`` of everything that a
    pickle looked up, without those of an import; `called` are hosts, as far as the event names one.
    """

    opened: list[str] = field(default_factory=list)
    unpickled: list[str] = field(default_factory=list)
    called: list[str] = field(default_factory=list)


@contextmanager
def watched() -> Iterator[Seen]:
    """Yield what this thread asks of the interpreter while the block runs."""
    global _installed
    if not _installed:
        _installed = True
        sys.addaudithook(_hook)
    seen, thread = Seen(), threading.get_ident()
    before = _watching.get(thread)
    _watching[thread] = seen
    try:
        yield seen
    finally:
        if before is None:
            del _watching[thread]
        else:
            _watching[thread] = before


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    seen = _watching.get(threading.get_ident())
    if seen is None or not (event in ("open", "pickle.find_class") or event in CALLS) or _importing():
        return
    if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
        seen.opened.append(os.fsdecode(arguments[0]))
    elif event == "pickle.find_class":
        seen.unpickled.append(".".join(map(str, arguments)))
    elif event in CALLS:
        seen.called.append(" ".join(str(one) for one in arguments if isinstance(one, str | tuple)))


def _importing() -> bool:
    """Whether the code that asks is being imported, rather than called by the kit."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and not str(frame.f_globals.get("__name__")).startswith(OWN):
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def catalog_of(*stages: type, weights: Iterable[Weights] = ()) -> Catalog:
    """Return a catalog of the built-in stages and of these; no other plugin is looked for.

    Parameters
    ----------
    *stages : type
        Stage classes; they need not be installed.
    weights : iterable of Weights
        Records besides those of the built-in stages.

    Raises
    ------
    D2FError
        D2F203 where a class is no stage, D2F204 where its name is taken; all of them at once.

    Examples
    --------
    >>> "wiener" in catalog_of().names("preprocessor")
    True
    """
    return Catalog.of(*stages, weights=weights, built_in=True)
