"""All findings, as text for a person or as data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from d2f.doctor.finding import Finding

MARKS = {"fine": " ", "warning": "!", "error": "x"}


def examine(*, measure: bool = True) -> Iterator[Finding]:
    """Yield every finding, section by section; with `measure`, MLX's speed too, which takes a second or two."""
    from d2f.doctor.formats import formats
    from d2f.doctor.machine import machine
    from d2f.doctor.mlx_backend import mlx_backend
    from d2f.doctor.speed import speed
    from d2f.doctor.stages import plugins, weights
    from d2f.plugins.catalog import Catalog

    yield from machine()
    found = list(mlx_backend())
    yield from found
    if measure and not any(finding.name == "mlx" and finding.state == "error" for finding in found):
        yield from speed()
    yield from formats()
    catalog = Catalog.discover()
    yield from plugins(catalog)
    yield from weights(catalog)


def report_lines(findings: Sequence[Finding]) -> list[str]:
    """Return the report: a block a section, a mark before what wants attention, a count at the end."""
    width = max(len(finding.name) for finding in findings)
    lines: list[str] = []
    for section, members in groupby(findings, key=lambda finding: finding.section):
        lines += ["", section] if lines else [section]
        for finding in members:
            lines.append(f"{MARKS[finding.state]} {finding.name:<{width}}  {finding.value}".rstrip())
            if finding.remedy:
                lines.append(f"  {'':<{width}}  = {finding.remedy}")
    counts = {state: sum(finding.state == state for finding in findings) for state in ("error", "warning")}
    told = [f"{count} {state}{'s' if count != 1 else ''}" for state, count in counts.items() if count]
    return [*lines, "", ", ".join(told) or "nothing to mend"]
