"""Plugins loaded one by one, and what they offer put on one shelf."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from d2f.api.errors import Problem
from d2f.api.nearest import did_you_mean
from d2f.api.weights import Weights
from d2f.plugins.api_range import outside
from d2f.plugins.entry_points import Origin, found, left_out
from d2f.plugins.faults import Fault, raised
from d2f.plugins.hook_manager import HookManager
from d2f.plugins.kinds import KINDS
from d2f.plugins.stage_check import called, lacks

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

WEIGHTS = "weights"
"""What weights are called where stages have their kind."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A stage class or a record of weights, and who offers it; `origin` is None where it was given by hand."""

    item: Any
    origin: Origin | None


@dataclass(slots=True)
class Shelf:
    """All that was found, by kind and name.

    Parameters
    ----------
    offers : dict
        Of each (kind, name).
    observers : list of (Origin, callable)
        Each is called with an event.
    faults : list of Fault
    notices : list of Problem
        Warnings that belong to no plugin.
    plugins : dict
        Each plugin that was loaded, with the names of the hooks that it implements.
    left_out : list of Origin
        What the allow-list left out.
    """

    offers: dict[tuple[str, str], Offer] = field(default_factory=dict)
    observers: list[tuple[Origin | None, Callable[[Any], object]]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notices: list[Problem] = field(default_factory=list)
    plugins: dict[Origin, list[str]] = field(default_factory=dict)
    left_out: list[Origin] = field(default_factory=list)

    def put_stage(self, kind: str, stage: Any, origin: Origin | None) -> None:
        """Put a stage on the shelf, or the fault that keeps it off."""
        wanting = lacks(kind, stage)
        if wanting:
            self.refuse(
                kind, stage, "D2F203", f"{called(kind, stage)} is refused: it is no {kind} yet", wanting, origin
            )
        else:
            self._put(kind, stage.name, stage, origin)

    def put_weights(self, record: Any, origin: Origin | None) -> None:
        """Put a record of weights on the shelf, or the fault that keeps it off."""
        if isinstance(record, Weights):
            self._put(WEIGHTS, record.name, record, origin)
        else:
            message = "weights are refused: not a record of d2f.Weights"
            self.refuse(WEIGHTS, record, "D2F203", message, (f"this is {record!r:.60}",), origin)

    def refuse(
        self, kind: str, item: Any, code: str, message: str, notes: tuple[str, ...], origin: Origin | None
    ) -> None:
        """Note that something offered was not taken."""
        problem = Problem(code, message, origin.place if origin else None, notes=notes)
        name = getattr(item, "name", None)
        self.faults.append(Fault(problem, origin, kind, name if isinstance(name, str) else None))

    def _put(self, kind: str, name: str, item: Any, origin: Origin | None) -> None:
        holder = self.offers.setdefault((kind, name), Offer(item, origin))
        if holder.item is item:
            return
        keeper = f"{holder.origin.place.file}" if holder.origin else "given by hand"
        notes = (f"taken by {keeper}", "rename one of them, or load one only, with D2F_PLUGINS")
        self.refuse(kind, item, "D2F204", f"{kind} '{name}' is refused: the name is taken", notes, origin)


def gather(names: frozenset[str] | None) -> Shelf:
    """Load every plugin that is allowed and return what they offer; nothing that a plugin does stops it."""
    shelf, manager, pairs = Shelf(), HookManager(), found()
    shelf.left_out = left_out((origin for origin, _ in pairs), names)
    shelf.notices = [*_unknown(names, [origin.entry_point for origin, _ in pairs])]
    for origin, entry_point in pairs:
        if origin in shelf.left_out:
            continue
        try:
            # What a module prints when it is imported would stand among a command's own output.
            with redirect_stdout(sys.stderr):
                _load(origin, entry_point, manager, shelf)
        except (Exception, SystemExit) as error:
            shelf.faults.append(raised("D2F201", f"plugin '{origin.entry_point}' failed to load", origin, error))
    return shelf


def _unknown(names: Iterable[str] | None, known: list[str]) -> Iterable[Problem]:
    for name in sorted(set(names or ()) - set(known)):
        notes = did_you_mean(name, known)
        yield Problem("D2F208", f"D2F_PLUGINS names '{name}', which is no plugin", notes=notes, severity="warning")


def _load(origin: Origin, entry_point: EntryPoint, manager: HookManager, shelf: Shelf) -> None:
    plugin = entry_point.load()
    stranger = outside(plugin, origin)
    if stranger is not None:
        shelf.faults.append(stranger)
    elif manager.is_registered(plugin):
        message = f"plugin '{origin.entry_point}' is refused: {manager.get_name(plugin)} is the same object"
        shelf.faults.append(Fault(Problem("D2F204", message, origin.place), origin))
    else:
        shelf.faults += manager.add(plugin, origin)
        shelf.plugins[origin] = manager.implemented(plugin)
        _collect(plugin, origin, manager, shelf)


def _collect(plugin: Any, origin: Origin, manager: HookManager, shelf: Shelf) -> None:
    for kind in KINDS.values():
        for stage in _asked(kind.hook, kind.name, plugin, origin, manager, shelf):
            shelf.put_stage(kind.name, stage, origin)
    for record in _asked("d2f_weights", WEIGHTS, plugin, origin, manager, shelf):
        shelf.put_weights(record, origin)
    if "d2f_stage_finished" in shelf.plugins[origin]:
        shelf.observers.append((origin, lambda event: manager.call(plugin, "d2f_stage_finished", event=event)))


def _asked(hook: str, kind: str, plugin: Any, origin: Origin, manager: HookManager, shelf: Shelf) -> list[Any]:
    if hook not in shelf.plugins[origin]:
        return []
    named = f"hook '{hook}' of plugin '{origin.entry_point}'"
    try:
        answers = manager.call(plugin, hook)
        if answers and isinstance(answers[0], Iterable) and not isinstance(answers[0], type | str):
            return list(answers[0])
    except (Exception, SystemExit) as error:
        shelf.faults.append(raised("D2F207", f"{named} raised", origin, error, kind))
        return []
    got = f"{answers[0]!r:.60}" if answers else "None"
    notes = (f"it returned {got}", f"return a list, of every {kind} that the plugin offers")
    shelf.refuse(kind, None, "D2F207", f"{named} did not return a list", notes, origin)
    return []
