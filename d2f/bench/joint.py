"""Several chains as one plan: each detector on each view is computed once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from d2f.engine.plan import PLAIN, BoundDetector, Plan, Step
from d2f.plugins.identity import canonical

if TYPE_CHECKING:
    from d2f.chain.chain import Chain

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Joint:
    """One plan for several chains.

    Parameters
    ----------
    plan : Plan
        Without a decision; detectors and views go by the name that the first chain has for them.
    columns : tuple of tuple of int
        For each chain, the joint plan's cell of each of its own cells.
    keys : tuple of str
        What identifies each cell, whatever a chain calls it: detector, options, weights, steps of the view.
    """

    plan: Plan
    columns: tuple[tuple[int, ...], ...]
    keys: tuple[str, ...]


def join(chains: Sequence[Chain]) -> Joint:
    """Return the chains' common plan; equal detectors and equal views are shared."""
    views = _Named[tuple[Step, ...]]({PLAIN: "[]"}, {PLAIN: ()})
    detectors = _Named[BoundDetector]()
    looks: dict[str, list[str]] = {}
    wanted: list[list[tuple[str, str]]] = []
    for chain in chains:
        named = {name: views.name(name, _view_key(steps), steps) for name, steps in chain.plan.views.items()}
        cells = []
        for detector in chain.plan.detectors:
            name = detectors.name(detector.id, detector.key, detector)
            seen = looks.setdefault(name, [])
            for view in detector.views:
                cells.append((name, named[view]))
                if named[view] not in seen:
                    seen.append(named[view])
        wanted.append(cells)
    bound = tuple(BoundDetector(name, one.stage, tuple(looks[name]), one.key) for name, one in detectors.things.items())
    plan = Plan("+".join(chain.name for chain in chains), "", views.things, bound)
    place = {cell: column for column, cell in enumerate(plan.cells)}
    keys = tuple(f"{detectors.keys[name]} on {views.keys[view]}" for name, view in plan.cells)
    return Joint(plan, tuple(tuple(place[cell] for cell in cells) for cells in wanted), keys)


class _Named(Generic[Thing]):
    """Things by name: equal ones share it, and a name that is taken by another gets a number."""

    def __init__(self, keys: dict[str, str] | None = None, things: dict[str, Thing] | None = None) -> None:
        self.keys = keys or {}
        self.things = things or {}

    def name(self, wanted: str, key: str, thing: Thing) -> str:
        for name, known in self.keys.items():
            if known == key:
                return name
        name, number = wanted, 2
        while name in self.keys:
            name, number = f"{wanted}-{number}", number + 1
        self.keys[name], self.things[name] = key, thing
        return name


def _view_key(steps: Sequence[Step]) -> str:
    return canonical([step.key for step in steps])
