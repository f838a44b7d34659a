"""`python -m tests.benchmarks.speed [-o FILE] [--only EXPRESSION] [--cores 1,2] [--rounds N] [--data FILE]`.

Asks the engines in turn, round after round, so that a change of the machine's load meets all of them; prints a
line a case and writes the report. PyTorch comes with the extra `torch`.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.benchmarks.speed.cases import Case, all_cases
from tests.benchmarks.speed.engines import ENGINES, Engine
from tests.benchmarks.speed.report import report

SLOW = 1.5
"""Seconds a call above which a case gets a third of the rounds."""


def main() -> None:
    """Measure, print, write."""
    options = _options()
    data = Path(options.data)
    if not options.again:
        with data.open("w", encoding="utf-8") as file:
            for cores in map(int, options.cores.split(",")):
                for record in _measured(cores, options.rounds, options.only):
                    file.write(json.dumps(record) + "\n")
                    file.flush()
    records = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    if options.output:
        Path(options.output).write_text(report(records), encoding="utf-8")


def _measured(cores: int, rounds: int, only: str) -> Any:
    cases = all_cases()
    with ExitStack() as stack:
        names = [name for name in ENGINES if cores == 1 or name in ("d2f", "torch")]
        engines = [stack.enter_context(Engine(name, cores)) for name in names]
        for index, case in enumerate(cases):
            if re.search(only, f"{case.kind} {case.name}, {case.work}, batch {case.batch}"):
                yield _case(index, case, cores, engines, rounds)


def _case(index: int, case: Case, cores: int, engines: list[Engine], rounds: int) -> dict[str, Any]:
    # The wheel as it comes takes minutes for a batch; one picture says as much.
    asked = [engine for engine in engines if engine.name in ("d2f", "torch") or case.batch == 1]
    answers: dict[str, list[dict[str, Any]]] = {engine.name: [] for engine in asked}
    for number in range(rounds):
        for engine in asked:
            slow = number and answers[engine.name][0]["wall"] > SLOW
            if not (slow and number >= rounds / (3 if engine.name in ("d2f", "torch") else rounds)):
                answers[engine.name].append(engine.time(index))
    record = {"case": vars(case), "name": case.name, "cores": cores, "difference": {}, "times": {}}
    expected = answers["torch"][0]["sample"]
    for name, given in answers.items():
        largest = max(abs(value) for value in expected)
        difference = max(abs(a - b) for a, b in zip(given[0]["sample"], expected, strict=True)) / largest
        record["difference"][name] = difference
        record["times"][name] = {clock: [one[clock] for one in given] for clock in ("wall", "cpu")}
    _print(case, cores, record["times"])
    return record


def _print(case: Case, cores: int, times: dict[str, Any]) -> None:
    medians = {name: statistics.median(clocks["cpu"]) for name, clocks in times.items()}
    walls = {name: statistics.median(clocks["wall"]) for name, clocks in times.items()}
    line = "  ".join(f"{name} {1000 * medians[name]:.1f} ({1000 * walls[name]:.1f})" for name in medians)
    ratio = medians["d2f"] / medians["torch"]
    print(f"{cores} core  {case.name}, {case.work}, batch {case.batch}: {line} ms; d2f/torch {ratio:.2f}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.speed", description=__doc__)
    parser.add_argument("-o", "--output", help="the report, Markdown")
    parser.add_argument(
        "--only", default="", help="cases whose description this regular expression finds, such as 'network.*batch 16'"
    )
    parser.add_argument("--cores", default="1,2", help="numbers of cores, such as 1,2")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--data", default="build/speed.jsonl", help="where the times go")
    parser.add_argument("--again", action="store_true", help="write the report of earlier times, measure nothing")
    return parser.parse_args()


if __name__ == "__main__":
    main()
