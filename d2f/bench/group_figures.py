"""The figures of one part of a set, for every subject."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from d2f.api.arrays import Floats, Labels
from d2f.bench import drawn
from d2f.bench.draws import Draws
from d2f.bench.figures import verdict_figures
from d2f.bench.groups import Group
from d2f.bench.measured import Measured
from d2f.bench.subject import Subject
from d2f.data.dataset import Dataset

OF_GROUPS = ("true_positive", "false_positive", "inconclusive", "evasion", "new_false_alarms")
"""Figures of a part's own images, besides its AUC, which takes those that it is judged against too."""


def group_figures(group: Group, images: Dataset, measured: Sequence[Measured]) -> Iterator[dict[str, Any]]:
    """Yield, for each subject, what it makes of the group under every attack."""
    draws, labels = group.draws(images), images.labels[group.index]
    own = draws.weights.copy()
    own[:, len(group.members) :] = 0.0
    for one in measured:
        part = one.subject.taken(group.index)
        yield {
            "kind": group.kind,
            "name": group.name,
            "real": group.real,
            "generated": group.generated,
            "figures": {name: _figures(part, labels, draws, own, copy) for copy, name in enumerate(one.copies)},
        }


def group_aucs(group: Group, images: Dataset, subject: Subject, copies: Sequence[str]) -> dict[str, Any]:
    """Return the AUC of one stage on the group under every attack, without intervals."""
    part, labels = subject.taken(group.index), images.labels[group.index]
    weights = np.ones((1, len(labels)))
    aucs = {name: float(_auc(part, labels, weights, copy)[0]) for copy, name in enumerate(copies)}
    return {"kind": group.kind, "name": group.name, "auc": aucs}


def _figures(part: Subject, labels: Labels, draws: Draws, own: Floats, copy: int) -> dict[str, Any]:
    found = verdict_figures(part, labels, own, copy)
    nothing = np.full(len(own), np.nan)
    return {
        "auc": draws.interval(_auc(part, labels, draws.weights, copy)),
        **{name: float(found.get(name, nothing)[0]) for name in OF_GROUPS},
    }


def _auc(part: Subject, labels: Labels, weights: Floats, copy: int) -> Floats:
    values = part.values[:, copy]
    given = weights if part.calibrated else weights * np.isfinite(values)
    return drawn.Ranked(labels, np.nan_to_num(values, nan=0.0), given).auc()
