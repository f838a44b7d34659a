"""Stages and option values in the few characters that a drawing has for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from d2f.chain.model import StageUse


def call(use: StageUse) -> str:
    """Return a stage as a call: ``wiener(window=7)``."""
    return called(use.use, use.with_)


def called(name: str, options: Mapping[str, Any]) -> str:
    """Return a name and options as a call."""
    inner = ", ".join(f"{option}={value(given)}" for option, given in options.items())
    return f"{name}({inner})" if inner else name


def value(given: Any) -> str:
    """Return an option's value: numbers at 4 digits, of long lists and tables only the length.

    >>> value(0.333333), value([1, 2]), value(list(range(9))), value(True)
    ('0.3333', '[1, 2]', '[9]', 'true')
    """
    if isinstance(given, bool) or given is None:
        return {True: "true", False: "false", None: "null"}[given]
    if isinstance(given, float):
        return f"{given:.4g}"
    if isinstance(given, list):
        return f"[{len(given)}]" if len(given) > 4 else f"[{', '.join(value(one) for one in given)}]"
    return f"{{{len(given)}}}" if isinstance(given, dict) else str(given)
