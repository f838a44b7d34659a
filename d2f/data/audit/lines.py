"""An audit as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from d2f.data.audit.audit import Audit
from d2f.data.audit.verdicts import verdict

SHOWN = 5
"""Pairs of duplicates that are named; all of them are in the JSON."""


def audit_lines(found: Audit) -> Iterator[str]:
    """Yield the lines of a report."""
    yield f"{found.images.describe()}, {found.components} components"
    yield from (f"note: {note}" for note in found.notes)
    yield ""
    yield "what the files tell of the label, without their pictures, on collections held out"
    yield from (f"  {verdict(each)}" for each in found.telltales)
    if found.history:
        yield "what the manifest tells of it"
        yield from (f"  {verdict(each)}" for each in found.history)
    yield ""
    twins = found.twins
    yield f"duplicates: {twins.exact} pairs of the same bytes, {twins.near} pairs that look alike"
    yield from _pairs("under both labels", twins.across_labels)
    yield from _pairs("in two parts of a split", twins.across_parts)
    yield ""
    yield f"verdict: {found.conclusion}"


def _pairs(where: str, pairs: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    if pairs:
        yield f"  {where}: {len(pairs)}"
    for first, second, kind in pairs[:SHOWN]:
        yield f"    {kind}  {first}  {second}"
    if len(pairs) > SHOWN:
        yield f"    … {len(pairs) - SHOWN} more (--json names them all)"
