"""Types of half the size on a processor: what they take and what they lose."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from tests.benchmarks.speed.tables import ms, table

Record = dict[str, Any]

NOTE = """A product and a convolution (batch 16) in float32, float16 and bfloat16, one core. MLX hands float32 alone to
the BLAS; for the others it has loops of its own. *Error* is the largest difference from float64's result, relative to
its largest number.
"""


def section(records: Sequence[Record]) -> str:
    """Return the table and what follows from it, Markdown."""
    mine = [record for record in records if record["case"]["kind"] == "precision" and record["cores"] == 1]
    if not mine:
        return "Not measured yet.\n"
    rows = []
    for record in mine:
        errors = [f"{record['difference'][name]:.0e}" for name in ("d2f", "torch")]
        times = record["times"]
        rows.append([record["case"]["name"], ms(times["d2f"]), errors[0], ms(times["torch"]), errors[1]])
    head = ["", "MLX ms", "error", "PyTorch ms", "error"]
    return f"{NOTE}\n{table(head, rows)}\n{_verdict(mine)}"


def _verdict(records: Sequence[Record]) -> str:
    factors = {kind: _factors(records, kind) for kind in ("float16", "bfloat16")}
    told = " and ".join(
        f"{min(found):.1f} to {max(found):.1f} times in {kind}" for kind, found in factors.items() if found
    )
    fastest = min((value for found in factors.values() for value in found), default=1.0)
    close = (
        "d2f therefore computes in float32 on a processor."
        if fastest >= 1
        else "Where it is faster it is less accurate."
    )
    return f"MLX takes {told} what it takes in float32, and errs more. {close}\n"


def _factors(records: Sequence[Record], kind: str) -> list[float]:
    """Return what a type takes of float32's time, for each thing computed."""
    by_what = {
        (one["case"]["what"][0], *one["case"]["what"][1:]): statistics.median(one["times"]["d2f"]["cpu"])
        for one in records
    }
    return [
        time / by_what["float32", *what]
        for (held, *what), time in by_what.items()
        if held == kind and ("float32", *what) in by_what
    ]
