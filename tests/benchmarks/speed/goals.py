"""What was aimed at, and whether the figures meet it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tests.benchmarks.speed.cases import Case

Record = dict[str, Any]


class Goal(NamedTuple):
    """A bound on a ratio of times.

    Attributes
    ----------
    text : str
        What it says.
    over, under : str
        The engines whose times are divided.
    bound : float
    at_most : bool
        The ratio is to be no larger than the bound, otherwise no smaller.
    meant : callable
        Of a case, whether the goal speaks of it.
    """

    text: str
    over: str
    under: str
    bound: float
    at_most: bool
    meant: Callable[[Case], bool]


def _inference(name: str) -> Callable[[Case], bool]:
    return lambda case: case.work == "inference" and (case.shipped if name == "shipped" else case.name == name)


GOALS = (
    Goal(
        "inference of the networks that ship: at most 1.0 of PyTorch's time",
        "d2f",
        "torch",
        1.0,
        True,
        _inference("shipped"),
    ),
    Goal("inference of ResNet-18: at most 1.2", "d2f", "torch", 1.2, True, _inference("ResNet-18")),
    Goal("a training step: at most 1.5", "d2f", "torch", 1.5, True, lambda case: case.work == "training step"),
    Goal("the bare wheel beaten tenfold", "bare", "d2f", 10.0, False, lambda case: case.kind in ("network", "product")),
)


def clock_of(record: Record) -> str:
    """Return the clock that goals are judged by: on one core the processor's; on more the wall's, if it was quiet."""
    return "wall" if record["cores"] > 1 and waited(record) < 1.1 else "cpu"


def waited(record: Record) -> float:
    """Return how many seconds a second of one core's work took on the wall, 1 where the machine was quiet."""
    times = record["times"].get("torch" if "torch" in record["times"] else "d2f", {"wall": [1.0], "cpu": [1.0]})
    return statistics.median(
        w * (1 if record["cores"] == 1 else record["cores"]) / c
        for w, c in zip(times["wall"], times["cpu"], strict=True)
    )


def ratios(record: Record, over: str, under: str, clock: str) -> list[float]:
    """Return the ratio of two engines' times, round by round."""
    times = record["times"]
    return [a / b for a, b in zip(times[over][clock], times[under][clock], strict=False)]


def judged(records: Sequence[Record]) -> str:
    """Return a list, Markdown: each goal, in how many cases it was met, and where it was missed and by how much."""
    lines = []
    for goal in GOALS:
        found = [(record, _figure(record, goal)) for record in records if _speaks_of(goal, record)]
        missed = [(record, figure) for record, figure in found if not _met(goal, figure)]
        lines.append(f"- {_verdict(goal, len(found), missed)}")
    return "\n".join(lines) + "\n"


def _speaks_of(goal: Goal, record: Record) -> bool:
    return {goal.over, goal.under} <= set(record["times"]) and goal.meant(Case.read(record["case"]))


def _figure(record: Record, goal: Goal) -> float:
    return statistics.median(ratios(record, goal.over, goal.under, clock_of(record)))


def _met(goal: Goal, figure: float) -> bool:
    # As many digits as are told.
    return round(figure, 2) <= goal.bound if goal.at_most else round(figure, 1) >= goal.bound


def _verdict(goal: Goal, count: int, missed: Sequence[tuple[Record, float]]) -> str:
    if not count:
        return f"**Not measured**: {goal.text}."
    cases = f"{count} case{'s' if count > 1 else ''}"
    if not missed:
        return f"**Met**: {goal.text} (in {'the one case' if count == 1 else f'all {cases}'})."
    told = "; ".join(_where(record, figure) for record, figure in missed)
    return f"**Missed** in {len(missed)} of {cases}: {goal.text}. Missed by {told}."


def _where(record: Record, figure: float) -> str:
    case = Case.read(record["case"])
    cores = f", {record['cores']} cores" if record["cores"] > 1 else ""
    return f"{case.name}, {case.work}, batch {case.batch}{cores} ({figure:.2f})"
