"""What each detector, view and member adds to a chain: the chain without it, nothing fitted again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from d2f.api.inputs import Floats, Labels
from d2f.engine.judge import Judge
from d2f.engine.plan import Plan
from d2f.metrics import Draws, Interval, Ranked
from wiener_finding.benched import COPIES, Judged


@dataclass(frozen=True)
class Part:
    """Members that are left out together."""

    kind: str
    name: str
    columns: tuple[int, ...]


@dataclass(frozen=True)
class Added:
    """What a part adds: the chain's AUC minus the AUC without it, by copy, on the same draws."""

    part: Part
    without: tuple[Interval, ...]
    adds: tuple[Interval, ...]


def parts(plan: Plan) -> list[Part]:
    """Return the detectors, the views and the members of a chain, each set of members once, none of them complete."""
    members = plan.members
    every = [Part("detector", one.id, _columns(members, 0, one.id)) for one in plan.detectors]
    every += [Part("view", view, _columns(members, 1, view)) for view in dict.fromkeys(view for _, view in members)]
    every += [Part("member", name, (place,)) for place, name in enumerate(plan.member_names)]
    found: dict[tuple[int, ...], Part] = {}
    for part in every:
        if len(part.columns) < len(members):
            found.setdefault(part.columns, part)
    return list(found.values())


def added(judged: Judged, labels: Labels, draws: Draws) -> Iterator[Added]:
    """Yield what each part adds."""
    full = [_auc(values, labels, draws) for values in judged.whole.values.T]
    for part in parts(judged.chain.plan):
        lacking = [_auc(values, labels, draws) for values in without(judged, part.columns).T]
        yield Added(
            part,
            tuple(draws.interval(one) for one in lacking),
            tuple(draws.interval(one - other) for one, other in zip(full, lacking, strict=True)),
        )


def without(judged: Judged, columns: tuple[int, ...]) -> Floats:
    """Return the chain's log-likelihood ratios as its combiner gives them when these members abstain.

    Returns
    -------
    numpy.ndarray, shape (images, copies), float64
        NaN where no member is left with a score. A chain that asks for more than one is asked for one here.
    """
    scores = judged.scores.copy()
    scores[:, :, list(columns)] = np.nan
    plan = judged.chain.plan
    assert plan.decision is not None
    judge = Judge(replace(plan, decision=replace(plan.decision, need=1)))
    llr: Floats = judge.probabilities(scores.reshape(-1, scores.shape[2])).llr
    return llr.reshape(len(scores), len(COPIES))


def _columns(members: tuple[tuple[str, str], ...], which: int, name: str) -> tuple[int, ...]:
    return tuple(place for place, member in enumerate(members) if member[which] == name)


def _auc(values: Floats, labels: Labels, draws: Draws) -> Floats:
    return Ranked(labels, np.nan_to_num(values, nan=0.0), draws.weights).auc()
