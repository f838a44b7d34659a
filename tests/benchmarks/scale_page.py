"""The page docs/research/scale.md, made of the results of `tests.benchmarks.scale`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Results = dict[str, dict[str, Any]]
MISSING = "not measured yet"


def page(results: Results) -> str:
    """Return the page."""
    parts = [HEAD, _machine(results), _rates(results), _memory(results), _resume(results), _kills(results)]
    return "\n".join([*parts, _hostile(results), _store(results), _cost(results)])


HEAD = """# Scale

Written by `python -m tests.benchmarks.scale`, which measures one step after the other, keeps the results in
`scale.json` beside this page and goes on where it stopped. The images are 40 pictures of the training set, half of them
generated, as JPEGs of 512x512 pixels; where there are more than 40, they are further names of the same.
"""


def _machine(results: Results) -> str:
    machines = {
        (one["machine"]["processor"], one["machine"]["cores"], one["machine"]["memory"]) for one in results.values()
    }
    named = "; ".join(f"{cpu}, {cores} cores, {memory / 2**30:.0f} GiB" for cpu, cores, memory in sorted(machines))
    dates = sorted({one["when"] for one in results.values()})
    return f"Measured on {named}; {dates[0]} to {dates[-1]}.\n" if results else ""


def _mark(one: dict[str, Any]) -> str:
    return " (busy machine)" if one["busy"] else ""


def _rates(results: Results) -> str:
    lines = [
        "## Images a second",
        "",
        "The time from the first row's start to the last row's end. On a machine whose cores other programs had, rates "
        "say little; processor time for an image says more.",
        "",
        "| chain | engine | processes | images/s | processor time an image | decoding, share of the stages' time |",
        "|---|---|---|---|---|---|",
    ]
    for chain in ("fast", "robust", "deep"):
        for engine in ("local", "ray"):
            for workers in (1, 2):
                one = results.get(f"rate {chain} {engine} {workers}")
                lines.append(f"| `{chain}` | {engine} | {workers} | {_rate(one, engine)} |")
    return "\n".join([*lines, "", *_apart(results.get("apart fast"))])


def _apart(one: dict[str, Any] | None) -> Iterator[str]:
    if one is None:
        return
    alone, both, workers = (one[name] for name in ("alone", "both", "workers"))
    yield (
        f"Two processes are not twice one: {one['images']} images take `fast` {alone:.1f} s alone; two commands at "
        f"once that share nothing {both:.1f} s each, {2 * alone / both:.2f} times the images a second, which is what "
        f"these two cores give; one command with two worker processes {workers:.1f} s, {alone / workers:.2f} "
        f"times{_mark(one)}."
    )
    yield ""


def _rate(one: dict[str, Any] | None, engine: str) -> str:
    if one is None:
        return f"{MISSING} | | "
    cpu = f"{1000 * one['cpu_seconds'] / one['images']:.0f} ms" if engine == "local" else "in the cluster"
    return f"{one['images'] / one['seconds']:.1f}{_mark(one)} | {cpu} | {one['decode_share']:.0%}"


def _memory(results: Results) -> str:
    lines = [
        "## Memory",
        "",
        "The largest resident memory of a run in one process. It is to be flat within 5 %.",
        "",
        "| chain | 100 images | 1,000 images | 10,000 images | largest over smallest |",
        "|---|---|---|---|---|",
    ]
    for chain in ("fast", "robust", "deep"):
        found = [results.get(f"memory {chain} {count}") for count in (100, 1000, 10_000)]
        sizes = [one["memory"] / 2**20 for one in found if one is not None]
        cells = [f"{one['memory'] / 2**20:.0f} MiB" if one else MISSING for one in found]
        if chain != "fast":
            cells[2] = ""
        ratio = f"{max(sizes) / min(sizes) - 1:+.1%}" if len(sizes) > 1 else ""
        lines.append(f"| `{chain}` | {' | '.join(cells)} | {ratio} |")
    return "\n".join([*lines, ""])


def _resume(results: Results) -> str:
    one = results.get("resume 100000")
    if one is None:
        return f"## Resuming\n\n{MISSING}\n"
    return (
        "## Resuming\n\n"
        f"`--resume` over {one['rows']:,} rows ({one['bytes'] / 1e6:.0f} MB of JSON lines) of which none is left to do "
        f"takes {one['cpu_seconds']:.1f} s of processor time ({1e6 * one['cpu_seconds'] / one['rows']:.0f} µs a row, "
        f"start and search of the folder among it) and {one['memory'] / 2**20:.0f} MiB.\n"
    )


def _kills(results: Results) -> str:
    words = {"worker": "a worker process", "main": "d2f's own process", "actor": "a Ray actor"}
    lines = [
        "## Killed at random moments",
        "",
        "SIGKILL after a random number of rows and a random pause (`python -m tests.benchmarks.kills`); then the run "
        "ends by itself or is resumed. The rows are to be those of a run that was left alone, byte for byte.",
        "",
        "| killed | moments | met a process | rows equal |",
        "|---|---|---|---|",
    ]
    found = results.get("kills", {})
    for target, name in words.items():
        one = found.get(target)
        lines.append(
            f"| {name} | {one['moments']} | {one['met']} | {one['equal']} |" if one else f"| {name} | {MISSING} | | |"
        )
    return "\n".join([*lines, ""])


def _hostile(results: Results) -> str:
    lines = [
        "## Hostile files",
        "",
        "Seeded mutants of sound files of every format, and files that are none (`tests/hostile.py`), through a "
        "trivial detector, evidence readers and preconditions (`D2F_HOSTILE=1 pytest tests/cli/test_hostile.py`): "
        "every file is to have its row, with a code where it cannot be read.",
        "",
    ]
    one = results.get("hostile")
    if one is None:
        return "\n".join([*lines, MISSING, ""])
    codes = ", ".join(f"{count:,} {code or 'judged'}" for code, count in sorted(one["codes"].items()))
    memory, bound = (one[size] / 2**20 for size in ("memory", "bound"))
    lines.append(f"{one['files']:,} files: {codes}. Largest memory {memory:.0f} MiB (bound: {bound:.0f}).")
    return "\n".join([*lines, ""])


def _store(results: Results) -> str:
    one = results.get("store")
    head = "## Out of an object store, by Ray\n\n"
    if one is None:
        return f"{head}{MISSING}: `python -m tests.benchmarks.store_by_ray`\n"
    right = "each the right one" if one["equal"] else "NOT the right ones"
    order = "in order" if one["in order"] else "NOT in order"
    return (
        f"{head}{one['images']:,} images of moto's S3 server on the loopback, on two actors of which "
        f"{one['actors killed']} was killed: {one['rows']:,} rows, {right}, {order}, exit code {one['exit']}.\n"
    )


CORE_HOUR = 0.04
REQUESTS = 0.0004
"""Prices in dollars that the arithmetic takes: an hour of a core, a thousand requests of an object store."""


def _cost(results: Results) -> str:
    lines = [
        "## What many images cost",
        "",
        "The second column is measured: processor time an image of the run in one process above, its "
        "start included. The others are arithmetic: that time by the number of images, at an assumed "
        f"{CORE_HOUR:.2f} dollars for an hour of a core like this one. Images in a store cost two requests each "
        f"besides, at an assumed {REQUESTS} dollars a thousand: {2000 * REQUESTS:.2f} a million. Transfer "
        "between regions is not counted, and photographs of 12 megapixels take longer to decode than these.",
        "",
        "| chain | processor time an image | core-hours a million | dollars a million | dollars a billion |",
        "|---|---|---|---|---|",
    ]
    for chain in ("fast", "robust", "deep"):
        one = results.get(f"rate {chain} local 1")
        if one is None:
            lines.append(f"| `{chain}` | {MISSING} | | | |")
            continue
        seconds = one["cpu_seconds"] / one["images"]
        hours = 1e6 * seconds / 3600
        dollars = hours * CORE_HOUR
        time = f"{1000 * seconds:.0f} ms{_mark(one)}"
        lines.append(f"| `{chain}` | {time} | {hours:,.0f} | {dollars:,.2f} | {1000 * dollars:,.0f} |")
    return "\n".join([*lines, ""])
