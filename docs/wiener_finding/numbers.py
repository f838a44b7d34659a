"""Numbers and lists as the page writes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

from d2f.metrics import Interval

Direction: TypeAlias = Literal["rises", "falls", ""]


def direction(change: Interval) -> Direction:
    """Return which way a change goes; empty where its interval holds zero, or where it has none."""
    if change.low > 0:
        return "rises"
    return "falls" if change.high < 0 else ""


def share(found: Interval) -> str:
    """A share with its bounds, such as ``61.0 % [52.1, 70.4]``."""
    return _with_bounds(found, "{:.1f}", " %", 100)


def points(change: Interval) -> str:
    """A change of a share, such as ``+9.0 points [+2.0, +15.3]``."""
    return _with_bounds(change, "{:+.1f}", " points", 100)


def figure(found: Interval) -> str:
    """A figure with its bounds, such as ``0.685 [0.613, 0.787]``."""
    return _with_bounds(found, "{:.3f}")


def change(found: Interval) -> str:
    """A change of a figure, such as ``-0.020 [-0.050, +0.010]``."""
    return _with_bounds(found, "{:+.3f}")


def nats(found: Interval) -> str:
    """A change of log-odds, such as ``+0.31 [+0.10, +0.52]``."""
    return _with_bounds(found, "{:+.2f}")


def listed(words: Sequence[str]) -> str:
    """Words in a row.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _with_bounds(found: Interval, form: str, unit: str = "", scale: float = 1.0) -> str:
    value, low, high = (form.format(scale * one) for one in found)
    if math.isnan(found.value):
        return ""
    return f"{value}{unit}" if math.isnan(found.low) else f"{value}{unit} [{low}, {high}]"
