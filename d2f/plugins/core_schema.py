"""What a plain scalar means: the core schema of YAML 1.2.2, section 10.3.2, to the letter.

So ``on``, ``yes``, ``1_000`` and ``2026-11-21`` are text, ``1e-4`` is a number and ``0o17`` is fifteen.
"""

from __future__ import annotations

import re
from typing import TypeAlias

Value: TypeAlias = str | int | float | bool | None

NULL = frozenset({"", "~", "null", "Null", "NULL"})
BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
INT = re.compile(r"[-+]?[0-9]+")
OCTAL = re.compile(r"0o[0-7]+")
HEX = re.compile(r"0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
INFINITY = re.compile(r"[-+]?\.(inf|Inf|INF)")
NAN = frozenset({".nan", ".NaN", ".NAN"})
DIGITS = 400
"""An integer of more digits is read as a floating-point number, which it is too large for."""


def resolve(text: str) -> Value:
    """Return the value of a plain scalar.

    >>> [resolve(text) for text in ("on", "1e-4", "0o17", "~", "007")]
    ['on', 0.0001, 15, None, 7]
    """
    if text in NULL:
        return None
    if text in BOOL:
        return BOOL[text]
    number = _number(text)
    return text if number is None else number


def _number(text: str) -> int | float | None:
    if INT.fullmatch(text):
        return int(text) if len(text) <= DIGITS else float(text)
    if OCTAL.fullmatch(text):
        return int(text[2:], 8)
    if HEX.fullmatch(text):
        return int(text[2:], 16)
    if FLOAT.fullmatch(text):
        return float(text)
    if INFINITY.fullmatch(text):
        return float(text.replace(".", "", 1))
    return float("nan") if text in NAN else None
