"""Everything that can be said of one plugin: what it offers and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from d2f.api.errors import Problem
from d2f.plugins.catalog import Catalog
from d2f.plugins.entry_points import Origin, found
from d2f.plugins.gathering import WEIGHTS
from d2f.plugins.kinds import KINDS
from d2f.plugins.requirements import unmet


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is known of a plugin.

    Parameters
    ----------
    origin : Origin
    state : {'loaded', 'not loaded', 'left out by D2F_PLUGINS'}
    hooks : tuple of str
        Names of the hooks that it implements.
    offers : tuple of (str, str)
        Kind and name of each stage, and of each set of weights.
    lost : tuple of str
        Names of what was refused.
    problems : tuple of (Problem, str)
        Each with the traceback of what was raised, or "".
    """

    origin: Origin
    state: str
    hooks: tuple[str, ...] = ()
    offers: tuple[tuple[str, str], ...] = ()
    lost: tuple[str, ...] = ()
    problems: tuple[tuple[Problem, str], ...] = ()

    @property
    def broken(self) -> bool:
        """Whether there is more than warnings; a plugin that was not loaded is broken, for whatever reason."""
        return self.state == "not loaded" or any(problem.severity == "error" for problem, _ in self.problems)

    def about(self, name: str) -> bool:
        """Whether `name` is the entry point's, the distribution's, or that of something it offers, or would."""
        return self.origin.answers_to(name) or name in (*self.lost, *(offered for _, offered in self.offers))


def diagnose(catalog: Catalog, *, strict: bool = False) -> list[Diagnosis]:
    """Return a diagnosis of every plugin that is installed.

    Parameters
    ----------
    catalog : Catalog
        As `Catalog.discover` returned it.
    strict : bool
        Whether a requirement that is not installed is an error; else it is a warning, for a stage may
        well be left unused.
    """
    return [_diagnosis(catalog, origin, strict) for origin, _ in found()]


def _diagnosis(catalog: Catalog, origin: Origin, strict: bool) -> Diagnosis:
    if origin in catalog.left_out:
        return Diagnosis(origin, "left out by D2F_PLUGINS")
    offers = tuple(
        (kind, name)
        for kind in (*KINDS, WEIGHTS)
        for name in catalog.names(kind)
        if catalog.owner(kind, name) == origin
    )
    faults = [fault for fault in catalog.faults if fault.origin == origin]
    lost = tuple(fault.stage for fault in faults if fault.stage is not None)
    wrong = [(fault.problem, fault.traceback) for fault in faults]
    lacking = [(problem, "") for problem in _requirements(catalog, origin, offers, strict)]
    hooks = catalog.plugins.get(origin)
    state = "loaded" if hooks is not None else "not loaded"
    return Diagnosis(origin, state, tuple(hooks or ()), offers, lost, (*wrong, *lacking))


def _requirements(
    catalog: Catalog, origin: Origin, offers: Iterable[tuple[str, str]], strict: bool
) -> Iterable[Problem]:
    for kind, name in offers:
        problem = unmet(kind, name, origin, catalog.requires(kind, name))
        if problem is not None:
            yield problem if strict else replace(problem, severity="warning")
