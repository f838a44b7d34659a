"""The grid of a chain's drawing: detectors down, views across, in each cell its calibration and its weight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from d2f.chain.chain import Chain
from d2f.chain.direction import direction
from d2f.chain.drawing import Ink, Line, line, table
from d2f.chain.model import DetectorUse
from d2f.chain.show_words import call, value

MARKS = {1: "↑", -1: "↓", 0: "~"}
WORDS = {
    1: "the score rises for generated images",
    -1: "the score falls for generated images",
    0: "the score neither rises nor falls throughout",
}
STYLES = {1: "green", -1: "magenta", 0: "yellow"}


def grid(chain: Chain) -> Iterator[Line]:
    """Yield the lines of the grid and what its marks mean."""
    views = list(dict.fromkeys(view for detector in chain.plan.detectors for view in detector.views))
    tables = cell_tables(chain)
    rows = [[[line("")], *([line(Ink(view, "cyan"))] for view in views)]]
    for use in chain.file.detectors:
        cells = (_cell(chain, f"{use.id}/{view}", tables) if view in use.views else [line("·")] for view in views)
        rows.append([_name(use), *cells])
        rows.append([[()] for _ in rows[0]])
    yield from table(rows[:-1])
    yield from _legend(chain)


def cell_tables(chain: Chain) -> dict[str, dict[str, Any]]:
    """Return the combiner's options that hold a value for each of some cells."""
    cells = set(chain.plan.cell_names)
    options = chain.file.combine.with_.items()
    return {name: given for name, given in options if isinstance(given, dict) and given and set(given) <= cells}


def _name(use: DetectorUse) -> list[Line]:
    name = [line(Ink(use.id, "bold"))]
    return [*name, line(f"  {call(use)}")] if use.use != use.id or use.with_ else name


def _cell(chain: Chain, name: str, tables: Mapping[str, Mapping[str, Any]]) -> list[Line]:
    use = chain.file.calibrate.get(name)
    if use is None:
        lines = [line(Ink("not calibrated", "yellow"))]
    else:
        sign = _direction(chain, name)
        lines = [line(f"{use.use} ", Ink(MARKS[sign], STYLES[sign]))]
        lines += [line(f"{option} {value(given)}") for option, given in use.with_.items()]
    # Of `weights`, a cell has one weight.
    own = [(option.removesuffix("s"), values[name]) for option, values in tables.items() if name in values]
    return [*lines, *(line(f"{option} {value(given)}") for option, given in own)]


def _legend(chain: Chain) -> Iterator[Line]:
    signs = {_direction(chain, name) for name in chain.plan.cell_names if name in chain.file.calibrate}
    if signs:
        words = "   ".join(f"{mark} {WORDS[sign]}" for sign, mark in MARKS.items() if sign in signs)
        yield from [(), line(Ink(f"  {words}", "dim"))]


def _direction(chain: Chain, name: str) -> int:
    decision = chain.plan.decision
    return direction(decision.calibrators[name]) if decision is not None else 0
