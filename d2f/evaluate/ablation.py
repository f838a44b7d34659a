"""An ablation as tables of text, for the terminal and for Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from d2f.evaluate.ablate import Ablation, Step
from d2f.evaluate.bench_report import Table, markdown_table
from d2f.evaluate.comparing import COST, MEAN, WORST, Left
from d2f.evaluate.figures import text_table
from d2f.evaluate.fit import data_block
from d2f.evaluate.fit_report import after_lines, head_lines
from d2f.metrics import Interval
from d2f.version import __version__


def ablation_lines(ablation: Ablation) -> Iterator[str]:
    """Yield the report for a terminal."""
    yield from head_lines(ablation.table)
    yield ""
    table = what_adds(ablation)
    yield from text_table(table.headings, table.rows)
    yield ""
    yield from how_to_read(ablation)
    yield from after_lines(ablation.table, ablation.notes)


def what_adds(ablation: Ablation) -> Table:
    """Every part of the chain: the figures without it, what it adds, and whether that is shown."""
    figures: tuple[str, ...] = ("AUC", "TPR@5%", "cost", "adds, clean")
    if ablation.whole.worst:
        figures = ("AUC", "worst AUC", "under", "TPR@5%", "cost", "adds, clean", "adds, at worst")
    rows = [_row("nothing", ablation.whole, compared=False)]
    rows += [_row(f"{left.kind} {left.name}", left) for left in ablation.without]
    return Table("What each part adds", ("without", *figures, "shown"), tuple(rows))


def by_attack(ablation: Ablation) -> Table:
    """What every part adds to the AUC of each copy."""
    copies = ablation.whole.copies
    rows = tuple(
        (f"{left.kind} {left.name}", *(signed(left.gains[copy, "auc"]) for copy in copies)) for left in ablation.without
    )
    return Table("AUC that each part adds, by attack", ("part", *copies), rows)


def auc_by_attack(ablation: Ablation) -> Table:
    """The AUC without each part, copy by copy."""
    copies = ablation.whole.copies
    every = [("nothing", ablation.whole), *((f"{left.kind} {left.name}", left) for left in ablation.without)]
    rows = tuple((name, *(f"{left.figures[copy, 'auc']:.3f}" for copy in copies)) for name, left in every)
    return Table("AUC without each part, by attack", ("without", *copies), rows)


def how_to_read(ablation: Ablation) -> Iterator[str]:
    """Yield what the columns are, and what they are not."""
    distinct = len({left.members for left in ablation.without})
    tests = distinct * (2 if ablation.whole.worst else 1)
    yield "out of fold over whole collections; 'adds' is AUC with the part minus AUC without, with 95 % intervals"
    yield "over components; 'at worst' compares the lowest AUC over the attacks; cost is log loss over all copies, bits"
    if not ablation.comparing.draws.varied:
        yield "warning: too few components to draw from: no interval, and so nothing is shown to add"
    elif tests >= 10:
        yield f"of {tests} differences about {round(tests * 0.05)} leave zero out by luck alone"
    need = ablation.subsets.recipe.need
    if need > 1 and any(len(left.members) < need for left in ablation.without):
        yield f"where fewer members are left than the {need} that the chain needs, all that are left are needed"


def step_line(step: Step, first: float, tolerance: float) -> str:
    """Return one step of a selection in words; `first` is the whole chain's cost."""
    rise = f"{step.cost - first:+.4f}"
    if not step.member:
        return f"cost with all {len(step.left)} members {step.cost:.4f} bits"
    if step.taken:
        return f"without {step.member}: {step.cost:.4f} bits ({rise}), {len(step.left)} left"
    above = f"more than {tolerance:g} above the lowest"
    return f"without {step.member} it would be {step.cost:.4f} ({rise}), {above}: it stays"


def picked_lines(left: Left) -> Iterator[str]:
    """Yield what a selection made of the chain."""
    yield f"kept {len(left.members)} members: {', '.join(left.members)}"
    gains = [f"clean {signed(left.gains[left.copies[0], 'auc'])}"]
    if left.worst:
        gains.append(f"at worst {signed(left.gains[WORST, 'auc'])}")
    yield f"AUC of all members minus AUC of those kept: {', '.join(gains)}"
    yield "members were chosen on these very folds, so these figures flatter: bench the fitted chain on other images"


def steps_table(steps: Sequence[Step]) -> Table:
    """The steps of a selection."""
    rows = tuple(
        (step.member or "nothing", f"{step.cost:.4f}", str(len(step.left)), "" if step.taken else "stays")
        for step in steps
    )
    return Table("What was left out", ("member", "cost", "members left", ""), rows)


def signed(gain: Interval) -> str:
    """Return a difference with its bounds, such as ``+0.012 [-0.003, +0.027]``."""
    if gain.low != gain.low:
        return f"{gain.value:+.3f}"
    return f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"


def _row(name: str, left: Left, compared: bool = True) -> tuple[str, ...]:
    clean, figures = left.copies[0], left.figures
    at_worst = (f"{figures[WORST, 'auc']:.3f}", left.worst) if left.worst else ()
    places = (clean, WORST) if left.worst else (clean,)
    return (
        name,
        f"{figures[clean, 'auc']:.3f}",
        *at_worst,
        f"{figures[clean, 'tpr_at_5']:.3f}",
        f"{figures[MEAN, COST]:.4f}",
        *(signed(left.gains[place, "auc"]) if compared else "" for place in places),
        left.says if compared else "",
    )


def ablation_result(ablation: Ablation, steps: Sequence[Step] = (), kept: Left | None = None) -> dict[str, Any]:
    """Return everything that was found as plain data for JSON; what is not a number is None."""
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
        "members": list(table.members),
        "whole": _left(ablation.whole),
        "without": [{**_left(left), **_compared(left)} for left in ablation.without],
    }
    if steps:
        result["steps"] = [
            {"member": step.member, "cost": step.cost, "left_out": step.taken, "members": len(step.left)}
            for step in steps
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
    return {
        "kind": left.kind,
        "name": left.name,
        "members": list(left.members),
        "worst": left.worst,
        "figures": figures,
    }


def _compared(left: Left) -> dict[str, Any]:
    gains: dict[str, dict[str, Any]] = {}
    for (copy, figure), gain in left.gains.items():
        found = {"difference": [_number(value) for value in gain], "p": _number(left.p[copy, figure])}
        gains.setdefault(copy, {})[figure] = found
    return {"whole_minus_this": gains, "says": left.says}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
