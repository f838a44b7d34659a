"""How a bench was asked for and on what: the head of bench.json."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from d2f.bench.draws import DRAWS, LEVEL
from d2f.bench.figures import FIGURES
from d2f.bench.grids import Laid, described
from d2f.bench.run import Run
from d2f.bench.subject import Laying
from d2f.data.digest import digest_of
from d2f.scoring.protocol import Protocol
from d2f.version import __version__

SCHEMA = 1
"""Version of bench.json; it changes when a key changes its meaning."""
FAILURES_LISTED = 20


@dataclass(frozen=True)
class Asked:
    """How a bench was asked for, as far as its report says so.

    Parameters
    ----------
    protocol : {'matched', 'as-is'}
    laid : Laid
    over : {'both', 'generated', 'real'}
        Whose images attacks are laid over.
    limit : int or None
    seed : int
    draws : int
    today : datetime.date
    as_found : sequence of str
        What is known of the set as it came.
    """

    protocol: Protocol
    laid: Laid
    over: Laying = "both"
    limit: int | None = None
    seed: int = 0
    draws: int = DRAWS
    today: datetime.date = field(default_factory=datetime.date.today)
    as_found: Sequence[str] = ()


def head(run: Run, asked: Asked) -> dict[str, Any]:
    """Return everything of a result that is no figure."""
    return {
        "d2f_bench": SCHEMA,
        "d2f": __version__,
        "date": asked.today.isoformat(),
        "protocol": asked.protocol,
        "laid_over": asked.over,
        "data": _data(run, asked),
        "as_found": list(asked.as_found),
        "attacks": list(described(asked.laid)),
        "notes": list(asked.laid.notes),
        "draws": asked.draws,
        "level": LEVEL,
        "figures": {name: asdict(figure) for name, figure in FIGURES.items()},
        "speed": {
            "wall": run.speed.wall,
            "images": len(run.joint.labels),
            "kept": run.kept,
            "stages": run.speed.stages(),
        },
        "failures": _failures(run),
    }


def _data(run: Run, asked: Asked) -> dict[str, Any]:
    table = run.joint
    labels = table.labels
    return {
        "root": table.images.root,
        "digest": digest_of(zip(table.sha256, labels.tolist(), strict=True)),
        "images": len(labels),
        "real": int((labels == 0).sum()),
        "generated": int((labels == 1).sum()),
        "components": len(set(table.components.tolist())),
        "limit": asked.limit,
        "seed": asked.seed,
    }


def _failures(run: Run) -> dict[str, Any]:
    unread = [[path, failure.code, failure.message] for path, failure in run.joint.unread]
    failed = [[path, where, failure.code, failure.message] for path, where, failure in run.joint.failed]
    return {
        "unread": {"count": len(unread), "first": unread[:FAILURES_LISTED]},
        "failed": {"count": len(failed), "first": failed[:FAILURES_LISTED]},
    }
