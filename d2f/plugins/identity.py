"""What identifies a stage: equal where it does the same, however it was asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from d2f.api.weights import Weights


def canonical(value: Any) -> str:
    """Return plain data as JSON with sorted keys, no blanks, and one spelling of each number.

    >>> canonical({"b": 1.0, "a": [True, 0.5]})
    '{"a":[true,0.5],"b":1}'
    """
    return json.dumps(_one_spelling(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _one_spelling(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _one_spelling(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_one_spelling(inner) for inner in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def stage_facts(use: str, options: Mapping[str, Any], weights: Sequence[Weights] = ()) -> dict[str, Any]:
    """Return what identifies a stage: its name, its options with their defaults, the digests of its weights."""
    facts: dict[str, Any] = {"use": use, "with": dict(options)}
    if weights:
        facts["weights"] = sorted(record.sha256 for record in weights)
    return facts
