"""Sentences on pushes and on parts left out, by plain rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

from wiener_finding.benched import COPIES
from wiener_finding.left_out import Added
from wiener_finding.numbers import direction, listed
from wiener_finding.pushes import Push

Towards: TypeAlias = Literal["generated", "real", ""]

TOWARDS: dict[str, Towards] = {"rises": "generated", "falls": "real", "": ""}
KINDS = {1: "generated images", 0: "photographs"}


def towards(push: Push) -> Towards:
    """Return where a push goes; empty where no direction shows."""
    return TOWARDS[direction(push.mean)]


def push_sentences(pushes: Sequence[Push], members: Sequence[str]) -> Iterator[str]:
    """Yield, for each filter, which members go where, and whether members of one chain disagree."""
    for copy in range(1, len(COPIES)):
        found = {(push.member, push.label): towards(push) for push in pushes if push.copy == copy}
        groups: dict[tuple[Towards | None, Towards | None], list[str]] = {}
        for member in members:
            groups.setdefault((found.get((member, 1)), found.get((member, 0))), []).append(f"`{member}`")
        said = "; ".join(f"{listed(names)}: {_both(*ways)}" for ways, names in groups.items())
        yield f"Under {COPIES[copy]}: {said}."
        for label, kind in KINDS.items():
            if {"generated", "real"} <= {found.get((member, label)) for member in members}:
                yield f"So its members are pushed opposite ways on {kind}."


def added_sentences(name: str, found: Sequence[Added]) -> Iterator[str]:
    """Yield which parts' absence lowers or raises a chain's AUC beyond its interval."""
    if not found:
        yield f"`{name}` has one member only: there is nothing to leave out."
        return
    for copy, called in enumerate(COPIES):
        ways = {one.part: direction(one.adds[copy]) for one in found}
        more = [f"{part.kind} `{part.name}`" for part, way in ways.items() if way == "rises"]
        less = [f"{part.kind} `{part.name}`" for part, way in ways.items() if way == "falls"]
        said = [f"{listed(more)} {'adds' if len(more) == 1 else 'add'} to the ranking"] if more else []
        said += [f"it ranks better without {listed(less)}"] if less else []
        if len(more) + len(less) < len(ways):
            said.append("of the rest no difference shows" if said else "no part makes a difference that shows")
        where = called if copy == 0 else f"under {called}"
        yield f"{where[0].upper()}{where[1:]}, {'; '.join(said)}."


def _both(generated: Towards | None, real: Towards | None) -> str:
    if generated is None and real is None:
        return "nothing to say of any image"
    if generated == real:
        return f"towards `{generated}`, whatever the image" if generated else "no direction that shows"
    ways = ((KINDS[1], generated), (KINDS[0], real))
    return ", ".join(f"{kind} {_way(way)}" for kind, way in ways)


def _way(way: Towards | None) -> str:
    if way is None:
        return "without a word"
    return f"towards `{way}`" if way else "in no direction that shows"
