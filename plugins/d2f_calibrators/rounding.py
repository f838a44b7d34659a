"""Parameters as they are written: six significant digits, so that a chain file can be read and repeats."""

from __future__ import annotations


def six_digits(value: float) -> float:
    """Return `value` rounded to six significant digits.

    >>> six_digits(-0.123456789), six_digits(0.0)
    (-0.123457, 0.0)
    """
    return float(f"{value:.6g}") + 0.0
