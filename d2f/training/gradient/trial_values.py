"""The values that a sweep gives a key: ``KEY=V1,V2``, and ``KEY=LOW..HIGH`` for a random search."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from d2f.api.errors import D2FError
from d2f.engine.spec_text import parts
from d2f.engine.spec_value import read_value

RANGE = re.compile(r"([^/\\\"'\[\]{}]+?)\.\.([^/\\\"'\[\]{}]+)")
"""A range; a path with ``..`` in it, or a text in quotes, is none."""
MOST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`, which are whole where both bounds are."""

    low: int | float
    high: int | float

    def draw(self, random: np.random.Generator) -> int | float:
        """Return a number: whole ones evenly, others evenly in their logarithm where both bounds are above 0."""
        low, high = self.low, self.high
        if isinstance(low, int) and isinstance(high, int):
            return int(random.integers(low, high, endpoint=True))
        if low > 0 and high > 0:
            return float(f"{math.exp(random.uniform(math.log(low), math.log(high))):.4g}")
        return float(f"{random.uniform(low, high):.4g}")


def read_set(text: str) -> tuple[str, list[Any]]:
    """Return the key and its values, a `Range` among them for each ``LOW..HIGH``; commas in brackets part nothing.

    Raises
    ------
    D2FError
        D2F001: a text that is no such list, or a range that is none.

    Examples
    --------
    >>> read_set("copies.qualities=[70,98],[80,90]")
    ('copies.qualities', [[70, 98], [80, 90]])
    >>> read_set("optimiser.rate=0.1,1e-4..1e-2")
    ('optimiser.rate', [0.1, Range(low=0.0001, high=0.01)])
    """
    key, equals, values = text.partition("=")
    if not key or not equals or not values:
        raise D2FError.of(
            "D2F001", f"'{text}' is not understood", "write KEY=VALUE,VALUE, such as optimiser.rate=0.1,0.01"
        )
    try:
        return key, [_value(values[first:last].strip()) for first, last in parts(values, ",")]
    except ValueError as error:
        raise D2FError.of("D2F001", f"'{text}' is not understood: {error}") from error


def _value(text: str) -> Any:
    found = RANGE.fullmatch(text)
    return _range(text, *map(read_value, found.groups())) if found else read_value(text)


def _range(text: str, low: Any, high: Any) -> Range:
    for bound in (low, high):
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not abs(bound) <= MOST:
            raise ValueError(f"the range '{text}' is not of two numbers")
    if low > high:
        raise ValueError(f"the range '{text}' begins above its end")
    return Range(low, high)
