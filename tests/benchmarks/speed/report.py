"""The page of the figures: joined from what was measured, whenever that was."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from tests.benchmarks.speed import precision, profile
from tests.benchmarks.speed.cases import Case
from tests.benchmarks.speed.goals import judged, ratios, waited
from tests.benchmarks.speed.tables import ms, spread, table

Record = dict[str, Any]

HEAD = """# Speed on a processor

Written by `python -m tests.benchmarks.speed -o docs/reference/speed.md` (PyTorch comes with the extra `torch`). How it
comes about is told in [MLX on a CPU](../explanation/mlx-on-a-cpu.md).

Four programs do the same work on the same weights and inputs, in processes of their own, **in turn**, round after
round: the *bare* wheel of MLX as it comes; the wheel with *BLAS* and allocator; *d2f*, that is with the layers and
streams as well; and PyTorch as its users write it (`eval()`, `inference_mode()`, float32, channels first; threads =
cores). d2f's networks have their batch norms folded for inference. Times are milliseconds of **processor time**, median
over rounds; ratios are of processor time (all threads) and of wall time, each the median of the rounds' ratios with the
quartiles beside it. Trust ratios, not milliseconds. *Load* is how many seconds a second of the work took on the wall:
1.0 on a quiet machine. Cases are measured one by one and kept; each line has its date.

{machines}

arm64 is not among them: d2f's forms are the same there, but nothing here was measured on it.

## Goals

Judged by processor time on one core; on more by the wall, or by processor time where the machine was shared.

{goals}"""


def report(records: Sequence[Record], missing: Sequence[str] = ()) -> str:
    """Return the page, Markdown.

    Parameters
    ----------
    records : sequence of dict
        What the benchmark has kept, in the order of its cases.
    missing : sequence of str
        Cases that were not measured.
    """
    timed = [record for record in records if record.get("times")]
    parts = [
        HEAD.format(machines=_machines(timed), goals=judged(timed)),
        *([_missing(missing)] if missing else []),
        "## Networks\n\nA training step is forward, backward and SGD with momentum. Networks that ship are made as "
        "their weights were.\n",
        *_tables(timed, "network"),
        *_alone(records),
        "## The bare wheel\n\nHow many times as long MLX takes as it comes, one picture, one core, processor time.\n",
        _bare(timed),
        "## Where the time goes\n",
        profile.section(records),
        _convolutions(timed),
        "## Matrix product and convolutions\n\nEvery convolution of these networks; *forward and backward* has the "
        "gradients of weights and input (of weights alone for the picture).\n",
        *_tables(timed, "product", "convolution"),
        "## Half precision\n",
        precision.section(timed),
        "## Agreement\n\n" + _agreement(timed),
    ]
    return "\n".join(parts)


def _machines(records: Sequence[Record]) -> str:
    counts = Counter(record["machine"] for record in records)
    rounds = sorted({len(record["times"]["d2f"]["cpu"]) for record in records})
    told = [f"{machine}" + (f" ({count} cases)" if len(counts) > 1 else "") for machine, count in counts.most_common()]
    return ".\n".join(told) + f". {'–'.join(map(str, sorted({rounds[0], rounds[-1]})))} rounds."


def _missing(cases: Sequence[str]) -> str:
    some = "; ".join(cases[:6]) + (f"; and {len(cases) - 6} more" if len(cases) > 6 else "")
    return f"Not measured yet ({len(cases)}): {some}. The same command measures them.\n"


def _tables(records: Sequence[Record], *kinds: str) -> Iterator[str]:
    mine = [record for record in records if record["case"]["kind"] in kinds and "torch" in record["times"]]
    for cores in sorted({record["cores"] for record in mine}):
        rows = [_row(record) for record in mine if record["cores"] == cores]
        head = [
            "",
            "work",
            "batch",
            "d2f ms",
            "PyTorch ms",
            "d2f / PyTorch, processor",
            "d2f / PyTorch, wall",
            "measured",
            "load",
        ]
        yield f"### {cores} core{'s' if cores > 1 else ''}\n\n{table(head, rows)}"


def _row(record: Record) -> list[str]:
    times, case = record["times"], Case.read(record["case"])
    found = [spread(ratios(record, "d2f", "torch", clock)) for clock in ("cpu", "wall")]
    name = f"**{case.name}** (ships)" if case.shipped else case.name
    when = [record["date"], f"{waited(record):.1f}"]
    return [name, case.work, str(case.batch), ms(times["d2f"]), ms(times["torch"]), *found, *when]


def _alone(records: Sequence[Record]) -> Iterator[str]:
    rows = []
    for record in records:
        if record.get("missing"):
            case, times = Case.read(record["case"]), record["times"]
            rows.append([case.name, case.work, str(case.batch), ms(times["d2f"]) if times else "", record["missing"]])
    if rows:
        yield f"Not compared:\n\n{table(['', 'work', 'batch', 'd2f ms', 'why'], rows)}"


def _bare(records: Sequence[Record]) -> str:
    rows = []
    for record in records:
        if "bare" in record["times"]:
            medians = {name: statistics.median(clocks["cpu"]) for name, clocks in record["times"].items()}
            factors = [f"{medians['bare'] / medians[name]:.0f}" for name in ("blas", "d2f")]
            rows.append([record["case"]["name"], record["case"]["work"], ms(record["times"]["bare"]), *factors])
    return table(["", "work", "bare ms", "bare / BLAS", "bare / d2f"], rows)


def _convolutions(records: Sequence[Record]) -> str:
    """Return what a network's convolutions take by themselves, beside the whole."""
    single = {
        (tuple(one["case"]["what"]), one["case"]["batch"]): one["times"]
        for one in records
        if one["case"]["kind"] == "convolution" and one["case"]["work"] == "forward" and one["cores"] == 1
    }
    rows = []
    for record in records:
        case = Case.read(record["case"])
        parts = [(single.get((tuple(shape), case.batch)), count) for shape, count in record.get("convolutions", ())]
        if case.work == "inference" and record["cores"] == 1 and parts and all(times for times, _ in parts):
            row = [case.name, str(case.batch)]
            for name in ("d2f", "torch"):
                alone = sum(count * statistics.median(times[name]["cpu"]) for times, count in parts if times)
                row += [ms(record["times"][name]), f"{1000 * alone:.0f}"]
            rows.append(row)
    if not rows:
        return ""
    head = ["inference", "batch", "d2f ms", "its convolutions alone", "PyTorch ms", "its convolutions alone"]
    note = "What the convolutions of a network take when each is called by itself, times how many there are:"
    return f"{note}\n\n{table(head, rows)}"


def _agreement(records: Sequence[Record]) -> str:
    worst = dict.fromkeys(("bare", "blas", "d2f"), 0.0)
    for record in records:
        for name in worst:
            if record["case"]["kind"] != "precision":
                worst[name] = max(worst[name], record["difference"].get(name, 0.0))
    told = ", ".join(f"{name} {value:.0e}" for name, value in worst.items())
    return (
        "Largest difference from PyTorch's results, relative to the largest number of each (outputs, gradients, "
        f"losses, weights after a step): {told}.\n"
    )
