"""Single values as every format writes them: numbers finite, texts encodable."""

from __future__ import annotations

import math


def finite(value: float | None) -> float | None:
    """Return `value`, or None where it is not finite: NaN and infinity are never written."""
    if value is None or not math.isfinite(value):
        return None
    return float(value)


def encodable(text: str) -> str:
    r"""Return `text` as UTF-8 can hold it: bytes of a file name that are none stand as ``\udcff``.

    Parameters
    ----------
    text : str
        Perhaps a path with surrogate escapes, as Python gives names that are not UTF-8.

    Examples
    --------
    >>> encodable("caf\udce9.jpg")
    'caf\\udce9.jpg'
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def printable(text: str) -> str:
    r"""Return `text` on one line and harmless on a terminal: control characters stand escaped.

    Examples
    --------
    >>> printable("two\nlines\x1b[31m")
    'two\\nlines\\x1b[31m'
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
