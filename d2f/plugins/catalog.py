"""Stages found by name, and who offers them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from d2f.api.errors import D2FError, Exit, Place, Problem
from d2f.api.events import StageFinished
from d2f.api.weights import Weights
from d2f.plugins.absent import absent
from d2f.plugins.entry_points import Origin, allowed
from d2f.plugins.faults import Fault, raised
from d2f.plugins.gathering import WEIGHTS, Shelf, gather
from d2f.plugins.kinds import kind_of
from d2f.plugins.requirements import unmet

ALLOW_LIST = "D2F_PLUGINS"
"""Environment variable: names of the entry points that are loaded besides the built-in ones."""


class Catalog:
    """Every stage, set of weights and observer that plugins offer.

    Made by `discover` from what is installed, or by `of` from classes at hand.
    """

    _of_this_process: ClassVar[Catalog | None] = None

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._observers = tuple(shelf.observers)

    @classmethod
    def discover(cls) -> Catalog:
        """Return the catalog of what is installed; plugins are loaded once in a process.

        ``D2F_PLUGINS=a,b`` in the environment loads the entry points `a` and `b` and the built-in ones only.
        What is wrong with a plugin is in `problems` and is raised by `find` where that plugin is wanted.
        """
        if Catalog._of_this_process is None:
            Catalog._of_this_process = cls(gather(allowed(os.environ.get(ALLOW_LIST))))
        return Catalog._of_this_process

    @classmethod
    def discovered(cls) -> Catalog | None:
        """Return what `discover` has found in this process, None before it was called."""
        return Catalog._of_this_process

    @classmethod
    def of(
        cls,
        *stages: type,
        weights: Iterable[Weights] = (),
        observers: Iterable[Callable[[StageFinished], object]] = (),
    ) -> Catalog:
        """Return a catalog of these stage classes alone; nothing is discovered.

        Raises
        ------
        D2FError
            D2F203 where a class is no stage, D2F204 where two have one name; all of them at once.
        """
        shelf = Shelf(observers=[(None, observer) for observer in observers])
        for stage in stages:
            shelf.put_stage(kind_of(stage) or "detector", stage, None)
        for record in weights:
            shelf.put_weights(record, None)
        if shelf.faults:
            raise D2FError([fault.problem for fault in shelf.faults], Exit.PLUGIN)
        return cls(shelf)

    def find(self, kind: str, name: str, place: Place | None = None) -> Any:
        """Return the stage class of this kind and name.

        Parameters
        ----------
        kind : str
            A key of `d2f.plugins.kinds.KINDS`.
        name : str
            As chain files call it.
        place : Place, optional
            Where it was asked for.

        Raises
        ------
        D2FError
            Exit code 2: the name is unknown (D2F110 to D2F113, D2F607). Exit code 3: its plugin is broken
            (D2F201 to D2F207), or what it requires is not installed (D2F206).
        """
        offer = self._shelf.offers.get((kind, name))
        if offer is None:
            raise absent(self._shelf, kind, name, place)
        problem = unmet(kind, name, offer.origin, self.requires(kind, name))
        if problem is not None:
            raise D2FError(problem, Exit.PLUGIN)
        return offer.item

    def names(self, kind: str) -> tuple[str, ...]:
        """Return the names of all stages of a kind, sorted."""
        return tuple(sorted(name for known, name in self._shelf.offers if known == kind))

    def stages(self, kind: str) -> tuple[Any, ...]:
        """Return all stage classes of a kind, by name, whether or not what they require is installed."""
        return tuple(self._shelf.offers[kind, name].item for name in self.names(kind))

    def owner(self, kind: str, name: str) -> Origin | None:
        """Return who offers a stage (or ``weights``); None where it was given by hand or does not exist."""
        offer = self._shelf.offers.get((kind, name))
        return offer.origin if offer else None

    def requires(self, kind: str, name: str) -> tuple[str, ...]:
        """Return the requirements that a stage states."""
        offer = self._shelf.offers.get((kind, name))
        return tuple(getattr(offer.item, "requires", ()) or ()) if offer else ()

    @property
    def weights(self) -> tuple[Weights, ...]:
        """Every record of weights, by name."""
        return tuple(self._shelf.offers[WEIGHTS, name].item for name in self.names(WEIGHTS))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything that is wrong with what is installed."""
        return (*self._shelf.notices, *(fault.problem for fault in self._shelf.faults))

    @property
    def faults(self) -> Sequence[Fault]:
        """The problems that belong to a plugin, with their tracebacks."""
        return tuple(self._shelf.faults)

    @property
    def plugins(self) -> dict[Origin, list[str]]:
        """Each plugin that was loaded, with the names of its hooks."""
        return dict(self._shelf.plugins)

    @property
    def left_out(self) -> tuple[Origin, ...]:
        """Plugins that ``D2F_PLUGINS`` leaves out."""
        return tuple(self._shelf.left_out)

    def notify(self, event: StageFinished) -> None:
        """Tell every observer; one that raises is told nothing more, and one warning is logged."""
        for pair in self._observers:
            origin, observer = pair
            try:
                observer(event)
            except (Exception, SystemExit) as error:
                self._observers = tuple(other for other in self._observers if other is not pair)
                self._drop(origin, error)

    def _drop(self, origin: Origin | None, error: BaseException) -> None:
        import logging

        giver = origin or Origin("by hand", "Catalog.of", "this program", "")
        message = f"the observer of plugin '{giver.entry_point}' raised and is told nothing more"
        problem = replace(raised("D2F207", message, giver, error).problem, severity="warning")
        logging.getLogger("d2f").warning("%s", problem)
