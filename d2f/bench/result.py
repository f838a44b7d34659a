"""What a bench found, as the plain data that bench.json holds and every page is made from."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from d2f.api.arrays import Labels
from d2f.bench.curves import curves
from d2f.bench.delong import auc_error
from d2f.bench.draws import DRAWS, LEVEL, Draws
from d2f.bench.figures import FIGURES
from d2f.bench.flips import flips
from d2f.bench.grids import Laid, described
from d2f.bench.group_figures import group_aucs, group_figures
from d2f.bench.groups import Group, groups
from d2f.bench.measured import WORST, Measured, measure
from d2f.bench.paired import comparisons
from d2f.bench.run import Run
from d2f.bench.subject import LAYINGS, Laying, Subject, chain_subjects, told_names
from d2f.data.dataset import Dataset
from d2f.data.digest import digest_of
from d2f.scoring.protocol import Protocol
from d2f.version import __version__

if TYPE_CHECKING:
    from d2f.chain.chain import Chain

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


def result(run: Run, chains: Sequence[Chain], asked: Asked, peers: Sequence[Subject] = ()) -> dict[str, Any]:
    """Measure everything.

    Returns
    -------
    dict
        Plain data; numbers that are not defined are None.
    """
    table, labels = run.joint, run.joint.labels
    draws = Draws(table.components, labels, asked.draws, asked.seed)
    judged = [
        chain_subjects(chain, part, name)
        for chain, part, name in zip(chains, run.tables, told_names(chains), strict=True)
    ]
    whole = [*(subject for subject, _ in judged), *peers]
    measured = [measure(subject, labels, table.copies, draws, asked.over) for subject in whole]
    told = [_told(one, subject, labels, asked) for one, subject in zip(measured, whole, strict=True)]
    parts = groups(table.images)
    for group in parts:
        for entry, figures in zip(told, group_figures(group, table.images, measured), strict=True):
            entry["groups"].append(figures)
    for entry, one, (_, stages), chain in zip(told, measured, judged, chains, strict=False):
        entry |= _chain_told(chain, one, table.images)
        each = (measure(stage, labels, table.copies, draws, asked.over) for stage in stages)
        entry["stages"] = [_stage_told(stage, parts, table.images, asked.laid) for stage in each]
    found: dict[str, Any] = plain(
        {
            **_head(run, asked),
            "subjects": told,
            "comparisons": list(comparisons(measured, labels)),
            "speed": {"wall": run.speed.wall, "images": len(labels), "kept": run.kept, "stages": run.speed.stages()},
            "failures": _failures(run),
        }
    )
    return found


def _head(run: Run, asked: Asked) -> dict[str, Any]:
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
    }


def _chain_told(chain: Chain, one: Measured, images: Dataset) -> dict[str, Any]:
    rule = chain.file.verdict
    return {
        "digest": chain.digest,
        "thresholds": {"real_below": rule.real_below, "generated_above": rule.generated_above},
        "flips": flips(one.subject, images, one.copies),
    }


def plain(value: Any) -> Any:
    """Return data that JSON holds: no NaN, numbers of at most 6 significant decimals."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value


def _told(one: Measured, subject: Subject, labels: Labels, asked: Asked) -> dict[str, Any]:
    found = _figures_told(one, asked.laid)
    found["kind"] = one.subject.kind
    found["auc_laid_over"] = {
        over: {copy: measured.interval(copy, "auc") for copy in one.copies}
        for over in LAYINGS
        for measured in [one if over == asked.over else measure(subject, labels, one.copies, one.draws, over)]
    }
    found["delong_error"] = {copy: _delong(one.subject, labels, i) for i, copy in enumerate(one.copies)}
    found["curves"] = {copy: curves(one.subject, labels, i) for i, copy in enumerate(one.copies)}
    found["groups"] = []
    return found


def _figures_told(one: Measured, laid: Laid) -> dict[str, Any]:
    worst = {figure: one.worst(figure, laid.apart) for figure in WORST}
    return {
        "name": one.subject.name,
        "figures": {copy: {figure: one.interval(copy, figure) for figure in FIGURES} for copy in one.copies},
        "worst": {figure: copy for figure, copy in worst.items() if copy is not None},
    }


def _stage_told(one: Measured, parts: Sequence[Group], images: Dataset, laid: Laid) -> dict[str, Any]:
    listed = [group_aucs(group, images, one.subject, one.copies) for group in parts]
    return {**_figures_told(one, laid), "groups": listed}


def _delong(subject: Subject, labels: Labels, copy: int) -> float:
    values = subject.values[:, copy]
    held = np.isfinite(values) | subject.calibrated
    return auc_error(labels[held], np.nan_to_num(values[held], nan=0.0))


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
