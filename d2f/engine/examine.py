"""Preconditions and evidence readers applied to one file."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from d2f.api.inputs import FileBytes, ImageFile, Note
from d2f.api.outcomes import Abstention, Evidence
from d2f.api.rows import Failure, Missing
from d2f.engine.findings import STAGE_ERRORS, Watch, failure_of, single_line
from d2f.engine.plan import FileCheck, Plan
from d2f.images.read import Unread
from d2f.plugins.entries import noun

NEEDS_FILE = "it reads the file, and only pixels were given"
"""Why a stage gives no answer, or not all of it, for an image that a program holds as pixels."""


@dataclass(frozen=True, slots=True)
class Examined:
    """The findings of a file's preconditions and evidence readers.

    `missing`: stages left out of the whole run; `lost`: those that failed on this file; `refused`: a check failed.
    """

    notes: tuple[Note, ...] = ()
    missing: tuple[Missing, ...] = ()
    lost: tuple[Missing, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    refused: bool = False


class Examiner:
    """Runs a plan's preconditions and evidence readers; may be called from several threads."""

    def __init__(self, plan: Plan, missing: Mapping[int, str], unusable: Mapping[int, str], watch: Watch) -> None:
        checks = (*plan.require, *plan.evidence)
        self._require = [check for check in plan.require if id(check.stage) not in missing]
        self._evidence = [check for check in plan.evidence if id(check.stage) not in missing]
        members = [(plan.members[index][0], reason) for index, reason in sorted(unusable.items())]
        stages = [(one.name, missing[id(one.stage)]) for one in checks if id(one.stage) in missing]
        self._missing = tuple(Missing(*one) for one in dict.fromkeys([*members, *stages]))
        of_bytes = [one.id for one in plan.detectors if isinstance(one.stage.wants, FileBytes)]
        readers = [check.name for check in self._evidence]
        self._without_file = tuple(Missing(name, NEEDS_FILE) for name in (*of_bytes, *readers))
        self._locks = {
            id(one.stage): threading.Lock() for one in checks if not getattr(one.stage, "thread_safe", False)
        }
        self._watch = watch

    def examine(self, image: ImageFile | Unread) -> Examined:
        """Read a file's evidence and, where it was decoded, check its preconditions, all of them."""
        notes: list[Note] = []
        lost: list[Missing] = []
        evidence: list[Evidence] = []
        pixels = image.pixels if isinstance(image, ImageFile) else None
        for check in self._evidence if image.data or pixels is not None else ():
            found = self._run(check, lambda stage: _findings(stage.read(image.data, pixels)))
            if isinstance(found, Failure):
                lost.append(Missing(check.name, f"{found.code}: {found.message}"))
            else:
                evidence += found
        for check in self._require if isinstance(image, ImageFile) else ():
            reason = self._run(check, lambda stage: _reason(stage.check(image)))
            if isinstance(reason, Failure):
                lost.append(Missing(check.name, f"{reason.code}: {reason.message}"))
            elif reason is not None:
                notes.append(Note(check.name, reason))
        missing = self._missing if image.data or pixels is None else (*self._missing, *self._without_file)
        return Examined(tuple(notes), missing, tuple(lost), tuple(evidence), bool(notes))

    def _run(self, check: FileCheck, call: Any) -> Any:
        lock: AbstractContextManager[Any] = self._locks.get(id(check.stage), nullcontext())
        try:
            with lock, self._watch.timed(check.kind, check.name):
                return call(check.stage)
        except STAGE_ERRORS as error:
            return failure_of(error, "D2F408", f"{noun(check.kind)} {check.name!r} raised ")


def _reason(outcome: Any) -> str | None:
    """Return the reason of a failed check, on one line; None where it passed."""
    if outcome is None:
        return None
    if not isinstance(outcome, Abstention):
        raise TypeError(f"check returned {single_line(outcome)[:60]!r}, not None or an Abstention")
    return single_line(outcome.reason) or "no reason given"


def _findings(outcome: Iterable[Any]) -> list[Evidence]:
    """Return an evidence reader's findings with their texts on one line."""
    found = list(outcome)
    for one in found:
        if not isinstance(one, Evidence):
            raise TypeError(f"read returned {single_line(one)[:60]!r} among its findings, not an Evidence")
    texts = ("kind", "statement", "source", "trust", "raw")
    return [
        replace(one, llr=float(one.llr), **{name: single_line(getattr(one, name)) for name in texts}) for one in found
    ]
