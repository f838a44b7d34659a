"""One case timed by all engines in turn, round after round: a change of the machine's load meets all of them."""

from __future__ import annotations

import datetime
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from tests.benchmarks.speed.cases import Case, network_of
from tests.benchmarks.speed.engines import Engine
from tests.benchmarks.speed.machine import machine
from tests.benchmarks.speed.networks import convolutions

SLOW = 1.5
"""Seconds a call above which a case gets a third of the rounds."""

Record = dict[str, Any]


def engine_names(case: Case, cores: int) -> list[str]:
    """Return who does a case: the wheel as it comes takes minutes for a batch, and one picture says as much."""
    alone = cores > 1 or case.batch > 1 or case.kind not in ("product", "network")
    return ["d2f", "torch"] if alone else ["bare", "blas", "d2f", "torch"]


def measure(case: Case, cores: int, engines: Sequence[Engine], rounds: int) -> Record:
    """Return what the data file holds of a case."""
    asked, missing = asdict(case), ""
    answers: dict[str, list[dict[str, Any]]] = {engine.name: [] for engine in engines}
    for number in range(rounds):
        for engine in engines:
            if engine.name in answers and _wanted(engine.name, answers[engine.name], number, rounds):
                answer = engine.time(asked)
                if "missing" in answer:
                    missing = missing or answer["missing"]
                    del answers[engine.name]
                else:
                    answers[engine.name].append(answer)
    if "d2f" not in answers:
        answers = {}  # Nothing to compare with.
    return {
        "case": asked,
        "cores": cores,
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "missing": missing,
        "convolutions": _convolutions(case),
        "difference": _differences(answers),
        "times": {name: _times(given) for name, given in answers.items()},
    }


def line(record: Record) -> str:
    """Return what is printed of a record."""
    if not record["times"]:
        return f"{Case.read(record['case']).told}: {record['missing']}"
    medians = {
        name: [1000 * statistics.median(times[k]) for k in ("cpu", "wall")] for name, times in record["times"].items()
    }
    told = "  ".join(f"{name} {cpu:.1f} ({wall:.1f})" for name, (cpu, wall) in medians.items())
    ratio = f"; d2f/torch {medians['d2f'][0] / medians['torch'][0]:.2f}" if "torch" in medians else ""
    return f"{record['cores']} core  {Case.read(record['case']).told}: {told} ms{ratio}"


def _convolutions(case: Case) -> list[list[Any]]:
    """Return a network's convolutions, each with how many there are."""
    return [[*one] for one in sorted(convolutions(network_of(case)).items())] if case.kind == "network" else []


def _wanted(name: str, given: Sequence[dict[str, Any]], number: int, rounds: int) -> bool:
    slow = bool(given) and given[0]["cpu"] > SLOW
    return not slow or number < rounds / (3 if name in ("d2f", "torch") else rounds)


def _times(given: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    return {clock: [float(f"{one[clock]:.4g}") for one in given] for clock in ("wall", "cpu")}


def _differences(answers: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    """Return the largest difference of each engine's sample from the expected, relative to the largest number.

    Expected is what PyTorch gives, or in cases of kind ``precision`` what it gives in float64.
    """
    if "torch" not in answers:
        return {}
    first = answers["torch"][0]
    expected = first.get("exact", first["sample"])
    largest = max(abs(value) for value in expected)
    return {
        name: float(f"{max(abs(a - b) for a, b in zip(given[0]['sample'], expected, strict=True)) / largest:.2g}")
        for name, given in answers.items()
        if name != "torch" or "exact" in first
    }
