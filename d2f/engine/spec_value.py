"""The values of a SPEC, read and written: scalars of YAML 1.2, lists, and ``5x7`` for two whole numbers."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from d2f.engine.spec_text import parts
from d2f.plugins.core_schema import resolve

PAIR = re.compile(r"([0-9]{1,9})x([0-9]{1,9})")
PLAIN = re.compile(r"[^\s\"'\[\]{},+=#&*!|>%@`][^\s\"'\[\]{},+]*")


def read_value(text: str) -> Any:
    """Return the value that a text stands for.

    Parameters
    ----------
    text : str
        ``7``, ``1e-4``, ``true``, ``null``, ``lanczos``, ``4:2:0``, ``5x7``, ``[5, 7]``, ``"a, b"``, or JSON in braces.

    Raises
    ------
    ValueError
        A quote, bracket or brace that does not close, or JSON that cannot be read.

    Examples
    --------
    >>> [read_value(text) for text in ("7", "1e-4", "4:2:0", "5x7", "[1, null]", "'7'")]
    [7, 0.0001, '4:2:0', [5, 7], [1, None], '7']
    """
    pair = PAIR.fullmatch(text)
    if pair:
        return [int(pair[1]), int(pair[2])]
    if text.startswith("["):
        return _items(text)
    if text.startswith(("{", '"')):
        return _json(text)
    if text.startswith("'"):
        if len(text) < 2 or not text.endswith("'"):
            raise ValueError("text follows the quote")
        return text[1:-1].replace("''", "'")
    return resolve(text)


def write_value(value: Any) -> str:
    """Return the text that `read_value` reads as `value`.

    Examples
    --------
    >>> [write_value(value) for value in (7, 2.0, [5, 7], [0.5], "4:2:0", "7", None)]
    ['7', '2', '5x7', '[0.5]', '4:2:0', '"7"', 'null']
    """
    if isinstance(value, list | tuple):
        whole = [type(one) is int and 0 <= one < 10**9 for one in value]
        if whole == [True, True]:
            return f"{value[0]}x{value[1]}"
        return f"[{','.join(write_value(one) for one in value)}]"
    if isinstance(value, str):
        plain = PLAIN.fullmatch(value) and not PAIR.fullmatch(value) and resolve(value) == value
        return value if plain else json.dumps(value)
    if isinstance(value, float):
        return _number(value)
    return json.dumps(value, separators=(",", ":"))


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(value).removesuffix(".0")
    return ".nan" if math.isnan(value) else (".inf" if value > 0 else "-.inf")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError("what stands in double quotes or braces is read as JSON") from error


def _items(text: str) -> list[Any]:
    if not text.endswith("]"):
        raise ValueError("text follows the bracket")
    inner = text[1:-1]
    return [read_value(inner[first:last].strip()) for first, last in parts(inner, ",")] if inner.strip() else []
