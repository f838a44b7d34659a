"""`python -m tests.benchmarks.speed [-o FILE] [--only EXPRESSION] [--cores 1,2] [--again] [--plan] [--profile]`.

Measures what is not measured yet, prints a line a case, keeps each as soon as it is done (a killed run goes on where it
was), and writes the page of all that was ever measured. PyTorch comes with the extra `torch`.
"""

from __future__ import annotations

import argparse
import re
import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks.speed import data, profile
from tests.benchmarks.speed.cases import Case, all_cases
from tests.benchmarks.speed.engines import Engine
from tests.benchmarks.speed.measure import engine_names, line, measure
from tests.benchmarks.speed.report import report

GUESS = 12.0
"""Seconds that a case takes of which nothing is known."""


def main() -> None:
    """Measure, print, write."""
    options = _options()
    file, cores = Path(options.data), [int(count) for count in options.cores.split(",") if count]
    cases = all_cases()
    known = data.read(file)
    chosen = [case for case in cases if re.search(options.only, case.told)]
    todo = [(case, count) for count in cores for case in chosen if _fits(case, count)]
    todo = [(case, count) for case, count in todo if options.again or data.key(case, count) not in known]
    print(
        f"{len(todo)} cases, about {_minutes(todo, known, options.rounds):.0f} minutes where the machine is quiet",
        flush=True,
    )
    if options.plan:
        return
    if options.profile:
        # What has no times on one core cannot be run there: its line says why.
        timed = [case for case in chosen if known.get(data.key(case, 1), {}).get("times")]
        _profile([case for case in timed if case.kind == "network"], file)
    else:
        _measure(todo, file, options.rounds)
    _write(cases, file, options.output)


def _fits(case: Case, cores: int) -> bool:
    return cores == 1 or case.kind != "precision"


def _measure(todo: Sequence[tuple[Case, int]], file: Path, rounds: int) -> None:
    for cores in dict.fromkeys(count for _, count in todo):
        with ExitStack() as stack:
            engines: dict[str, Engine] = {}
            for case in (case for case, count in todo if count == cores):
                for name in engine_names(case, cores):
                    if name not in engines:
                        engines[name] = stack.enter_context(Engine(name, cores))
                record = measure(case, cores, [engines[name] for name in engine_names(case, cores)], rounds)
                data.add(file, record)
                print(line(record), flush=True)


def _profile(cases: Sequence[Case], file: Path) -> None:
    for case in cases:
        record = profile.measure(case)
        data.add(file, record)
        told = ", ".join(f"{kind} {share:.0f} %" for kind, share in record["shares"].items())
        print(f"{case.told}: {told}", flush=True)


def _write(cases: Sequence[Case], file: Path, output: str | None) -> None:
    known = data.read(file)
    data.tidy(file, known.values())
    if output:
        Path(output).write_text(report(data.in_order(cases, known), list(_missing(cases, known))), encoding="utf-8")


def _missing(cases: Sequence[Case], known: dict[str, data.Record]) -> Iterator[str]:
    for cores in (1, 2):
        for case in cases:
            if _fits(case, cores) and data.key(case, cores) not in known:
                yield f"{case.told}, {cores} core{'s' if cores > 1 else ''}"


def _minutes(todo: Sequence[tuple[Case, int]], known: dict[str, data.Record], rounds: int) -> float:
    """Return what the cases take, by what they took before, or on another number of cores."""
    whole = 0.0
    for case, cores in todo:
        record = next((known[key] for n in (cores, 1, 2) if (key := data.key(case, n)) in known), None)
        medians = [statistics.median(times["cpu"]) for times in record["times"].values()] if record else []
        whole += (
            sum(max(0.1, one) * max(3 if one > 1.5 else rounds, 1) + 2 * one for one in medians) if record else GUESS
        )
    return whole / 60


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.speed", description=__doc__)
    parser.add_argument("-o", "--output", help="the report, Markdown")
    parser.add_argument(
        "--only", default="", help="cases whose description this regular expression finds, such as 'network.*batch 16'"
    )
    parser.add_argument("--cores", default="1,2", help="numbers of cores, such as 1,2")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--data", default=str(data.FILE), help="where the measurements are kept")
    parser.add_argument("--again", action="store_true", help="measure also what is measured")
    parser.add_argument("--plan", action="store_true", help="say how much there is to do, and do nothing")
    parser.add_argument("--profile", action="store_true", help="where the time of the chosen networks goes, by perf")
    return parser.parse_args()


if __name__ == "__main__":
    main()
