"""`d2f bench compare`: which figures fell by more than their interval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from d2f.api.errors import D2FError
from d2f.metrics.figures import FIGURES
from d2f.report.tables import Table, number


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of one chain on one copy, before and after."""

    system: str
    attack: str
    figure: str
    old: float
    new: float
    bound: float | None
    better: int

    @property
    def fell(self) -> bool:
        """Whether the figure is worse now than the old interval's bad end."""
        limit = self.old if self.bound is None else self.bound
        return self.better * self.new < self.better * limit


@dataclass(frozen=True, slots=True)
class Compared:
    """The figures that two results have in common, and reasons why they may not mean the same."""

    changes: tuple[Change, ...]
    warnings: tuple[str, ...]

    @property
    def fallen(self) -> tuple[Change, ...]:
        """The figures that fell."""
        return tuple(change for change in self.changes if change.fell)

    def table(self, every: bool) -> Table:
        """Return the fallen figures, or every figure."""
        rows = tuple(
            (
                f"{one.system}, {one.attack}",
                one.figure,
                number(one.old),
                number(one.bound),
                number(one.new),
                "fell" if one.fell else "",
            )
            for one in (self.changes if every else self.fallen)
        )
        return Table("changes", ("chain, attack", "figure", "old", "bound", "new", ""), rows)


def compare_results(old: Mapping[str, Any], new: Mapping[str, Any], chosen: Sequence[str]) -> Compared:
    """Compare figures of every chain and attack that both results hold.

    Chains are paired by name; where each result holds one chain only, those are a pair whatever their names.
    """
    for name in chosen:
        if name not in FIGURES:
            raise D2FError.of("D2F001", f"there is no figure '{name}'", f"there are {', '.join(FIGURES)}")
    changes = tuple(change for one, other in paired(old, new) for change in _changes(one, other, chosen))
    if not changes:
        raise D2FError.of("D2F001", "the two results have no chain, attack and figure in common")
    return Compared(changes, tuple(_warnings(old, new, changes)))


def paired(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """Return the systems of two results that are compared: those of one name, or the only one of each."""
    before, after = old["systems"], new["systems"]
    if len(before) == len(after) == 1:
        return [(before[0], after[0])]
    named = {system["name"]: system for system in before}
    return [(named[system["name"]], system) for system in after if system["name"] in named]


def _changes(old: Mapping[str, Any], new: Mapping[str, Any], chosen: Sequence[str]) -> Iterator[Change]:
    for attack, figures in new["figures"].items():
        for name in chosen:
            before = old["figures"].get(attack, {}).get(name, (None,))
            if before[0] is None or figures[name][0] is None:
                continue
            better = FIGURES[name].better
            bound = before[1] if better > 0 else before[2]
            yield Change(new["name"], attack, name, before[0], figures[name][0], bound, better)


def _warnings(old: Mapping[str, Any], new: Mapping[str, Any], changes: Sequence[Change]) -> Iterator[str]:
    facts = (
        ("the images", old["data"]["digest"], new["data"]["digest"]),
        ("the protocol", old["protocol"], new["protocol"]),
        ("the class that is attacked", old["attacked"], new["attacked"]),
    )
    for words, before, after in facts:
        if before != after:
            yield f"{words} differ: {before[:20]} and {after[:20]}"
    for name, found in (("old", old), ("new", new)):
        yield from (f"{name}: {caution}" for caution in found["cautions"])
    without = sum(change.bound is None for change in changes)
    if without:
        yield f"{without} of {len(changes)} old figures have no interval: any fall of theirs counts"
