"""Why a stage that somebody asked for is not there: its plugin is broken, left out, or the name is unknown."""

from __future__ import annotations

from dataclasses import replace

from d2f.api.errors import D2FError, Exit, Place, Problem
from d2f.api.nearest import did_you_mean
from d2f.plugins.faults import Fault
from d2f.plugins.gathering import Shelf
from d2f.plugins.kinds import KINDS


def absent(shelf: Shelf, kind: str, name: str, place: Place | None) -> D2FError:
    """Return the error of asking for a stage that is not on the shelf."""
    causes = [fault for fault in shelf.faults if fault.explains(kind, name)]
    if causes:
        return D2FError([_unusable(fault, kind, name, place) for fault in causes], Exit.PLUGIN)
    notes = _other_kinds(shelf, kind, name) or did_you_mean(name, _names(shelf, kind))
    problem = Problem(
        KINDS[kind].unknown,
        f"unknown {kind} '{name}'",
        place,
        label="no loaded plugin provides it",
        notes=(*notes, *_suspects(shelf, kind, name)),
    )
    return D2FError(problem, Exit.USAGE)


def _unusable(fault: Fault, kind: str, name: str, place: Place | None) -> Problem:
    problem, asked = fault.problem, f"{kind} '{name}'"
    message = problem.message if problem.message.startswith(asked) else f"{asked} is not usable: {problem.message}"
    return replace(problem, message=message, notes=(*_asked_at(place), *problem.notes), severity="error")


def _asked_at(place: Place | None) -> tuple[str, ...]:
    if place is None:
        return ()
    line = f":{place.line}:{place.column}" if place.line else ""
    return (f"asked for in {place.file}{line}" + (f" at {place.path}" if place.path else ""),)


def _names(shelf: Shelf, kind: str) -> list[str]:
    return sorted(name for known, name in shelf.offers if known == kind)


def _other_kinds(shelf: Shelf, kind: str, name: str) -> tuple[str, ...]:
    return tuple(f"there is a {other} '{name}'" for other in KINDS if other != kind and (other, name) in shelf.offers)


def _suspects(shelf: Shelf, kind: str, name: str) -> tuple[str, ...]:
    """Return notes on plugins that might have offered it, had they been loaded."""
    left_out = [origin for origin in shelf.left_out if origin.answers_to(name)]
    notes = [f"plugin '{one.entry_point}' ({one.package}) is left out by D2F_PLUGINS" for one in left_out]
    whole = {fault.origin: fault for fault in shelf.faults if fault.stage is None and fault.kind in (None, kind)}
    notes += [
        f"plugin '{origin.entry_point}' ({origin.package}) is broken and might: d2f plugin check {origin.entry_point}"
        for origin in whole
        if origin is not None
    ]
    return tuple(notes)
