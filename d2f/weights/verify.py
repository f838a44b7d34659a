"""Weights tried out: what they make of a picture of arithmetic, held to what is known of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from math import isfinite
from typing import Literal, TypeAlias

from d2f.api.errors import D2FError, Exit
from d2f.api.inputs import Weights
from d2f.files import write_whole
from d2f.weights.sources import changing, held_in

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
        verb = "equals" if self.outcome == "equal" else "DIFFERS from"
        return f"self-test: the output {verb} {self.against}, within {self.error:.1e}"


def self_tested(record: Weights) -> Tested:
    """Run the self-test of a record whose file is here.

    Without an expected output, the one of an earlier run on this machine is expected, and the first one is kept.
    """
    if not record.self_test:
        return Tested("none")
    module, _, function = record.self_test.partition(":")
    found: SelfTest = getattr(import_module(module), function)(record)
    largest = max(map(abs, found.output), default=0.0)
    if not largest or not all(map(isfinite, found.output)):
        raise D2FError.of("D2F504", f"weights '{record.name}' make no finite numbers of a picture", exit=Exit.PLUGIN)
    expected: Sequence[float] | None = found.expected
    against, key = found.against, f"{record.sha256} {record.self_test}"
    if expected is None:
        expected, against = held_in(OUTPUTS).get(key), "that of the first run on this machine"
    if expected is None:
        with changing(OUTPUTS) as file:
            write_whole(file, json.dumps({**held_in(OUTPUTS), key: list(found.output)}) + "\n")
        return Tested("kept")
    if len(expected) != len(found.output):
        return Tested("different", against, 1.0)
    error = max(abs(a - b) for a, b in zip(expected, found.output, strict=True)) / largest
    return Tested("equal" if error <= TOLERANCE else "different", against, error)
