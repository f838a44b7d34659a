"""What a bench found, as the plain data that bench.json holds and every page is made from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from d2f.api.arrays import Labels
from d2f.bench.asked import Asked, head
from d2f.bench.curves import curves
from d2f.bench.delong import auc_error
from d2f.bench.draws import Draws
from d2f.bench.figures import FIGURES
from d2f.bench.flips import flips
from d2f.bench.grids import Laid
from d2f.bench.group_figures import group_aucs, group_figures
from d2f.bench.groups import Group, groups
from d2f.bench.measured import WORST, Measured, measure
from d2f.bench.paired import comparisons
from d2f.bench.run import Run
from d2f.bench.subject import LAYINGS, Subject, chain_subjects, told_names
from d2f.data.dataset import Dataset

if TYPE_CHECKING:
    from d2f.chain.chain import Chain


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
            **head(run, asked),
            "subjects": told,
            "comparisons": list(comparisons(measured, labels)),
        }
    )
    return found


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
