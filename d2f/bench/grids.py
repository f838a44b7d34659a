"""The attacks that a bench lays over images: named grids, and SPECs of the user's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from d2f.scoring.attack import Attack, read_attack

if TYPE_CHECKING:
    from d2f.plugins.catalog import Catalog

GridName: TypeAlias = Literal["core", "full", "none"]

CORE = {
    "wiener-7": "wiener:window=7",
    "wiener-7+noise-2": "wiener:window=7+noise:sigma=2",
    "noise-5": "noise:sigma=5",
    "jpeg-60": "jpeg:quality=60",
    "webp-80": "webp:quality=80",
    "resize-0.5": "resize:factor=0.5,back=true",
    "gaussian-blur-1": "gaussian-blur:sigma=1",
    "hard": "resize:factor=0.7+resize:longest=512+jpeg:quality=40",
}
"""The grid that decides targets, besides the clean images; SPECs by short name.

`hard` and `web` scale and compress as an upload does. Their cap on the longest side takes effect on images larger
than the matched window only.
"""

FULL = {
    **CORE,
    "wiener-3": "wiener:window=3",
    "wiener-5": "wiener:window=5",
    "median-3": "median:window=3",
    "median-5": "median:window=5",
    "gaussian-blur-0.5": "gaussian-blur:sigma=0.5",
    "gaussian-blur-2": "gaussian-blur:sigma=2",
    "noise-2": "noise:sigma=2",
    "noise-10": "noise:sigma=10",
    "jpeg-95": "jpeg:quality=95",
    "jpeg-85": "jpeg:quality=85",
    "jpeg-75": "jpeg:quality=75",
    "jpeg-40": "jpeg:quality=40",
    "resize-0.75": "resize:factor=0.75,back=true",
    "resize-1.25": "resize:factor=1.25,back=true",
    "crop": "crop:fraction=0.8",
    "web": "resize:factor=0.8+resize:longest=768+jpeg:quality=60",
    "thumbnail-128": "resize:longest=128,back=true",
    "greyscale": "greyscale",
}
"""The grid for publication."""

GRIDS: dict[str, dict[str, str]] = {"none": {}, "core": CORE, "full": FULL}

APART = {"autoencoder": "autoencoder"}
"""Attacks of the grids that need weights of their own: a row where those are, and never the worst attack."""


@dataclass(frozen=True)
class Laid:
    """The attacks of one bench.

    Parameters
    ----------
    attacks : tuple of Attack
        In the order of the report.
    apart : frozenset of str
        Names of those that have a row of their own and are not asked for the worst attack.
    notes : tuple of str
        What was left out, and why.
    """

    attacks: tuple[Attack, ...]
    apart: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


def lay_out(grid: GridName, specs: Sequence[str], catalog: Catalog) -> Laid:
    """Return a grid's attacks and then the user's own, each once, however written.

    Parameters
    ----------
    grid : {'core', 'full', 'none'}
    specs : sequence of str
        SPECs; one of the grid keeps the grid's short name.
    catalog : Catalog

    Raises
    ------
    D2FError
        As `d2f.engine.spec.parse_spec`, and what a stage raises on loading.
    """
    named = [read_attack(spec, catalog, name) for name, spec in GRIDS[grid].items()]
    apart, notes = _apart(catalog) if grid != "none" else ([], ())
    own = [read_attack(spec, catalog) for spec in specs]
    taken: dict[str, Attack] = {}
    for attack in (*named, *apart, *own):
        taken.setdefault(attack.spec, attack)
    return Laid(tuple(taken.values()), frozenset(attack.name for attack in apart), notes)


def _apart(catalog: Catalog) -> tuple[list[Attack], tuple[str, ...]]:
    found, notes = [], []
    for name, spec in APART.items():
        if name not in catalog.names("preprocessor"):
            continue
        attack, why = _ready(name, spec, catalog)
        found += [attack] if attack else []
        notes += [f"no row for '{name}': {why}"] if why else []
    return found, tuple(notes)


def _ready(name: str, spec: str, catalog: Catalog) -> tuple[Attack | None, str]:
    from d2f.api.errors import D2FError

    try:
        return read_attack(spec, catalog, name), ""
    except D2FError as error:
        problem = error.problems[0]
        return None, "; ".join((problem.message, *problem.notes[-1:]))


def described(laid: Laid) -> Iterator[dict[str, object]]:
    """Yield each attack as plain data, the clean copy first."""
    yield {"name": "none", "spec": "", "apart": False}
    for attack in laid.attacks:
        yield {"name": attack.name, "spec": attack.spec, "apart": attack.name in laid.apart}
