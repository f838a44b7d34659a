"""An ablation as plain data and as a page of Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from d2f.bench.report import markdown_table
from d2f.fitting.ablate import Ablation
from d2f.fitting.ablation_tables import (
    auc_by_attack,
    by_attack,
    how_to_read,
    picked_lines,
    steps_table,
    what_adds,
)
from d2f.fitting.comparing import Left
from d2f.fitting.fit import data_block
from d2f.fitting.pick import Step
from d2f.fitting.report import after_lines, head_lines
from d2f.version import __version__


def ablation_result(ablation: Ablation, steps: Sequence[Step] = (), kept: Left | None = None) -> dict[str, Any]:
    """Return everything that was found as plain data for JSON; what is not a number is None.

    Parameters
    ----------
    ablation : Ablation
    steps : sequence of Step
        Of a selection.
    kept : Left, optional
        What it left.
    """
    request, table = ablation.subsets.request, ablation.table
    result: dict[str, Any] = {
        "d2f": __version__,
        "date": request.today.isoformat(),
        "chain": ablation.whole.name,
        "data": data_block(table),
        "protocol": request.protocol,
        "copies": list(table.copies),
        "folds": request.folds,
        "seed": request.seed,
        "draws": len(ablation.comparing.draws.weights) - 1,
        "cells": list(table.cells),
        "whole": _left(ablation.whole),
        "without": [{**_left(left), **_compared(left)} for left in ablation.without],
    }
    if steps:
        result["steps"] = [
            {"cell": step.cell, "cost": step.cost, "left_out": step.taken, "cells": len(step.left)} for step in steps
        ]
    if kept is not None:
        result["kept"] = {**_left(kept), **_compared(kept)}
    return result


def ablation_markdown(ablation: Ablation, steps: Sequence[Step] = (), kept: Left | None = None) -> str:
    """Return everything that was found as a page."""
    request = ablation.subsets.request
    lines = [f"# What each part of chain {ablation.whole.name} adds", ""]
    lines += [f"{line}." for line in head_lines(ablation.table)]
    lines += [f"Protocol {request.protocol}, seed {request.seed}, {request.folds} folds; d2f {__version__}.", ""]
    lines += [*markdown_table(what_adds(ablation)), ""]
    lines += [f"- {line}" for line in (*how_to_read(ablation), *after_lines(ablation.table, ablation.notes))]
    if len(ablation.table.copies) > 1:
        for table in (by_attack(ablation), auc_by_attack(ablation)):
            lines += ["", f"## {table.title}", "", *markdown_table(table)]
    if steps:
        table = steps_table(steps)
        lines += ["", f"## {table.title}", "", *markdown_table(table)]
    if kept is not None:
        lines += ["", *(f"- {line}" for line in picked_lines(kept))]
    return "\n".join(lines) + "\n"


def _left(left: Left) -> dict[str, Any]:
    figures: dict[str, dict[str, Any]] = {}
    for (copy, figure), value in left.figures.items():
        figures.setdefault(copy, {})[figure] = _number(value)
    return {"kind": left.kind, "name": left.name, "cells": list(left.cells), "worst": left.worst, "figures": figures}


def _compared(left: Left) -> dict[str, Any]:
    gains: dict[str, dict[str, Any]] = {}
    for (copy, figure), gain in left.gains.items():
        found = {"difference": [_number(value) for value in gain], "p": _number(left.p[copy, figure])}
        gains.setdefault(copy, {})[figure] = found
    return {"whole_minus_this": gains, "says": left.says}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
