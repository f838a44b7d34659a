"""The page of the figures."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from importlib import metadata
from typing import Any

Record = dict[str, Any]

HEAD = """# Speed on a processor

Written by `python -m tests.benchmarks.speed -o docs/reference/speed.md` (PyTorch comes with the extra `torch`). How it
comes about is told in [MLX on a CPU](../explanation/mlx-on-a-cpu.md).

Four programs do the same work on the same weights and inputs, in processes of their own, **in turn**, round after
round: the *bare* wheel of MLX as it comes; the wheel with *BLAS* and allocator; *d2f*, that is with the layers and
streams as well; and PyTorch as its users write it (`eval()`, `inference_mode()`, float32, channels first; threads =
cores). d2f's
networks have their batch norms folded for inference. Times are milliseconds of **processor time**, median over rounds;
ratios are of processor time (all threads) and of wall time, each the median of the rounds' ratios with the quartiles
beside it. Trust ratios, not milliseconds: the machine was {load}.

{machine}
"""


def report(records: Sequence[Record]) -> str:
    """Return the page, Markdown, of the records that the benchmark has written."""
    parts = [
        HEAD.format(machine=_machine(records), load=_load(records)),
        "## Networks\n\n224x224 pictures; a training step is forward, backward and SGD with momentum.\n",
        *_tables(records, "network"),
        "## The bare wheel\n\nHow many times as long MLX takes as it comes, one picture, one core, processor time.\n",
        _bare(records),
        "## Matrix product and convolutions\n\nEvery convolution of these networks; *forward and backward* has the "
        "gradients of weights and input (of weights alone for the picture).\n",
        *_tables(records, "product", "convolution"),
        "## Agreement\n\n" + _agreement(records),
    ]
    return "\n".join(parts)


def _machine(records: Sequence[Record]) -> str:
    versions = ", ".join(f"{name} {_version(name)}" for name in ("mlx", "scipy-openblas32", "torch"))
    rounds = max(len(one["times"]["d2f"]["cpu"]) for one in records)
    return f"{_processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, {versions}; {rounds} rounds."


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor()


def _version(name: str) -> str:
    try:
        return metadata.version(name).partition("+")[0]
    except metadata.PackageNotFoundError:
        return "(not here)"


def _load(records: Sequence[Record]) -> str:
    """Return how busy the machine was, by what one core's work took on the wall."""
    waits = [
        wall / cpu
        for one in records
        if one["cores"] == 1
        for wall, cpu in zip(one["times"]["torch"]["wall"], one["times"]["torch"]["cpu"], strict=True)
    ]
    waited = statistics.median(waits) if waits else 1.0
    busy = "quiet" if waited < 1.1 else "shared with other work"
    return f"{busy} (a second of one core's work took {waited:.1f} s on the wall)"


def _tables(records: Sequence[Record], *kinds: str) -> Iterable[str]:
    for cores in sorted({one["cores"] for one in records}):
        rows = [_row(one) for one in records if one["cores"] == cores and one["case"]["kind"] in kinds]
        head = ["", "work", "batch", "d2f ms", "PyTorch ms", "d2f / PyTorch, processor", "d2f / PyTorch, wall"]
        yield f"### {cores} core{'s' if cores > 1 else ''}\n\n{_table(head, rows)}"


def _row(one: Record) -> list[str]:
    times, case = one["times"], one["case"]
    ratios = [_ratio(times["d2f"][clock], times["torch"][clock]) for clock in ("cpu", "wall")]
    return [one["name"], case["work"], str(case["batch"]), _ms(times["d2f"]), _ms(times["torch"]), *ratios]


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Return the median of the rounds' ratios and its quartiles."""
    ratios = sorted(a / b for a, b in zip(ours, theirs, strict=False))
    if len(ratios) < 3:
        return f"{statistics.median(ratios):.2f}"
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return f"{middle:.2f} ({low:.2f}–{high:.2f})"


def _ms(times: dict[str, Sequence[float]]) -> str:
    value = 1000 * statistics.median(times["cpu"])
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _bare(records: Sequence[Record]) -> str:
    rows = []
    for one in records:
        if "bare" in one["times"]:
            medians = {name: statistics.median(clocks["cpu"]) for name, clocks in one["times"].items()}
            factors = [f"{medians['bare'] / medians[name]:.0f}" for name in ("blas", "d2f")]
            rows.append([one["name"], one["case"]["work"], _ms(one["times"]["bare"]), *factors])
    return _table(["", "work", "bare ms", "bare / BLAS", "bare / d2f"], rows)


def _agreement(records: Sequence[Record]) -> str:
    worst = dict.fromkeys(("bare", "blas", "d2f"), 0.0)
    for one in records:
        for name in worst:
            worst[name] = max(worst[name], one["difference"].get(name, 0.0))
    told = ", ".join(f"{name} {value:.0e}" for name, value in worst.items())
    return (
        "Largest difference from PyTorch's results, relative to the largest number of each (outputs, gradients, "
        f"losses, weights after a step): {told}.\n"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"
