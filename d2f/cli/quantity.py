"""Numbers with a unit's prefix: 200M, 1.5G, 640Mi on the command line, 102.5 MB for a person."""

from __future__ import annotations

import re

import click

PREFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def bytes_in_words(size: int) -> str:
    """Return a number of bytes for a person, in decimal units.

    Examples
    --------
    >>> [bytes_in_words(size) for size in (12, 1234, 102530333)]
    ['12 B', '1.2 kB', '102.5 MB']
    """
    value, units = float(size), iter(("B", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while value >= 999.95:
        value, unit = value / 1000, next(units)
    return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"


class Quantity(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A positive whole number, such as ``4096``, ``200M`` (millions) or ``640Mi`` (2**20 each)."""

    name = "number"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number.

        Examples
        --------
        >>> [Quantity().convert(text, None, None) for text in ("7", "1.5k", "2Mi")]
        [7, 1500, 2097152]
        """
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kmg]?i?)", value.strip().lower())
        number = int(float(found[1]) * PREFIXES.get(found[2], 0)) if found else 0
        if number < 1:
            self.fail(f"'{value}' is not a positive number such as 4096, 200M or 640Mi", param, ctx)
        return number
