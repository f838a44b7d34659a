"""Weights tried out: what they make of a picture of arithmetic, held to what is known of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import import_module
from math import isfinite
from typing import Literal, TypeAlias

from d2f.api.errors import D2FError, Exit
from d2f.api.inputs import Weights
from d2f.files import write_whole
from d2f.weights.sources import changing, weights_folder

OUTPUTS = "outputs.json"
"""In the folder of weights files: what self-tests gave on this machine, by digest and self-test."""

TOLERANCE = 1e-3
"""Of the largest number of an output: another machine's arithmetic differs by less, another file by more."""

Outcome: TypeAlias = Literal["equal", "different", "kept", "none"]


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What weights make of a test picture.

    Parameters
    ----------
    output : tuple of float
        Some tens of numbers of it at most.
    expected : tuple of float, optional
        What it should be; None where nobody could find out yet.
    against : str
        Where that is from, such as ``the recorded output``.
    """

    output: tuple[float, ...]
    expected: tuple[float, ...] | None = None
    against: str = ""


@dataclass(frozen=True, slots=True)
class Tested:
    """How a self-test ended; `error` is the largest difference, over the largest number of the output."""

    outcome: Outcome
    against: str = ""
    error: float = 0.0

    def line(self) -> str:
        """Return it in words."""
        if self.outcome == "none":
            return "self-test: none is known for these weights"
        if self.outcome == "kept":
            return "self-test: loads, and its output is finite; nobody recorded one yet, so this one is kept to compare"
        return f"self-test: the output {_verb(self.outcome)} {self.against}, within {self.error:.1e}"


def _verb(outcome: Outcome) -> str:
    return "equals" if outcome == "equal" else "DIFFERS from"


def self_tested(record: Weights) -> Tested:
    """Run the self-test of a record whose file is here.

    Without an expected output, the one of an earlier run on this machine is expected, and the first one is kept.

    Raises
    ------
    D2FError
        What reading the weights raises; D2F504 where the output is not finite.
    """
    if not record.self_test:
        return Tested("none")
    module, _, function = record.self_test.partition(":")
    found: SelfTest = getattr(import_module(module), function)(record)
    largest = max(map(abs, found.output), default=0.0)
    if not largest or not all(map(isfinite, found.output)):
        raise D2FError.of("D2F504", f"weights '{record.name}' make no finite numbers of a picture", exit=Exit.PLUGIN)
    expected, against = found.expected, found.against
    if expected is None:
        expected, against = _stored_sample(record), "that of the first run on this machine"
    if expected is None:
        _store_sample(record, found.output)
        return Tested("kept")
    if len(expected) != len(found.output):
        return Tested("different", against, 1.0)
    error = max(abs(a - b) for a, b in zip(expected, found.output, strict=True)) / largest
    return Tested("equal" if error <= TOLERANCE else "different", against, error)


def _outputs() -> dict[str, list[float]]:
    try:
        held = json.loads((weights_folder() / OUTPUTS).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return held if isinstance(held, dict) else {}


def _stored_sample(record: Weights) -> tuple[float, ...] | None:
    found = _outputs().get(f"{record.sha256} {record.self_test}")
    return None if found is None else tuple(map(float, found))


def _store_sample(record: Weights, output: tuple[float, ...]) -> None:
    with changing(OUTPUTS) as file:
        held = {**_outputs(), f"{record.sha256} {record.self_test}": list(output)}
        write_whole(file, json.dumps(held) + "\n")
