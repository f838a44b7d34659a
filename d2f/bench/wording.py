"""Numbers of a result as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Interval3 = Sequence[float | None]


def number(value: float | None) -> str:
    """Three decimals; nothing where there is no number."""
    return "" if value is None else f"{value:.3f}"


def interval(found: Interval3) -> str:
    """A value and its bounds, such as ``0.871 [0.812, 0.915]``."""
    value, low, high = found
    return number(value) if low is None else f"{number(value)} [{number(low)}, {number(high)}]"


def bounds(found: Interval3) -> str:
    """The bounds alone."""
    return "" if found[1] is None else f"[{number(found[1])}, {number(found[2])}]"


def data_lines(result: Mapping[str, Any]) -> list[str]:
    """What was judged, in two lines."""
    data = result["data"]
    part = f", {data['images']} taken by seed {data['seed']}" if data["limit"] else ""
    over = "" if result["laid_over"] == "both" else f"; attacks laid over {result['laid_over']} images only"
    return [
        f"{data['images']} images of {data['root']}{part}: {data['real']} real, {data['generated']} generated, "
        f"{data['components']} components",
        f"protocol {result['protocol']}{over}; {result['level']:.0%} intervals: {result['draws']} draws of components",
    ]


def failure_lines(result: Mapping[str, Any]) -> list[str]:
    """What could not be read or scored, if anything."""
    lines = []
    for key, what in (("unread", "images could not be read"), ("failed", "copies or cells failed")):
        told = result["failures"][key]
        if told["count"]:
            first = told["first"][0]
            lines.append(f"warning: {told['count']} {what}, such as {first[0]}: {first[-2]} {first[-1]}")
    return lines


def worst_line(subject: Mapping[str, Any]) -> str:
    """Where a subject is worst, in one line; empty without attacks."""
    words = {"auc": "lowest AUC", "evasion": "most evasion", "new_false_alarms": "most new false alarms"}
    parts = [
        f"{words[figure]} {number(subject['figures'][copy][figure][0])} under {copy}"
        for figure, copy in subject["worst"].items()
    ]
    return "; ".join(parts)
