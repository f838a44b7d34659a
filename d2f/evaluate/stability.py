"""What `verdict.stability` does on a labelled set: verdicts that it turns (bench), and how near they must be (fit)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError, Exit, Problem
from d2f.api.inputs import Floats, ImageFile
from d2f.api.rows import Failure
from d2f.cache import Cache
from d2f.data.protocol import Standardise
from d2f.engine.findings import Observe
from d2f.engine.judge import Judge, changed
from d2f.engine.plan import Decision, Plan, Step, make_step
from d2f.evaluate.attacks import Attack, attacked
from d2f.evaluate.score import ScoreTable, score_table
from d2f.metrics.figures import verdicts_of

if TYPE_CHECKING:
    from d2f.chain.chain import Chain

DEFAULT = ("shift", {"pixels": 1})
"""The small change that a fit writes where a chain names none: a crop of one row and one column."""

QUANTILE = 0.98
"""Of the images with a verdict, the share whose ratio a small change moves by at most `stable_within`."""


@dataclass(frozen=True)
class Stability:
    """How steady verdicts are under small changes, by images with a verdict; shares within [0, 1]."""

    within: float
    decided: int
    turned: float
    found: float
    tried: float


def stability_steps(chain: Chain) -> tuple[Step, ...]:
    """Return the small changes that a chain's verdicts are tried under once it is fitted."""
    named = chain.file.verdict.stability
    if named is not None:
        return tuple(make_step(chain.catalog, use.use, use.with_) for use in named)
    if DEFAULT[0] not in chain.catalog.names("preprocessor"):
        return ()
    return (make_step(chain.catalog, *DEFAULT),)


def fit_stability(plan: Plan, decision: Decision, table: ScoreTable) -> Stability | None:
    """Find how near to a threshold a verdict must be tried; None where no small change was scored."""
    if table.changed is None or not table.changed.shape[1]:
        return None
    judge = Judge(replace(plan, decision=decision))
    own = judge.probabilities(table.scores[:, 0])
    shape = table.changed.shape[:2]
    other = judge.probabilities(table.changed.reshape(-1, len(table.members)))
    moved = np.abs(other.llr.reshape(shape) - own.llr[:, None])
    verdicts = verdicts_of(own.probability, decision.real_below, decision.generated_above)
    others = verdicts_of(other.probability, decision.real_below, decision.generated_above).reshape(shape)
    decided = (verdicts != 0) & np.isfinite(moved).all(axis=1)
    known = decided if decided.any() else np.isfinite(moved).all(axis=1)
    if not known.any():
        return None
    within = float(np.round(np.quantile(moved[known].max(axis=1), QUANTILE), 4))
    near = _margins(decision, own.probability) <= within
    turned = (others != verdicts[:, None]).any(axis=1)
    count = int(decided.sum())
    shares = [float(some[decided].mean()) if count else 0.0 for some in (turned, turned & near, near)]
    return Stability(within, count, *shares)


def turned_verdicts(
    chain: Chain,
    table: ScoreTable,
    standardise: Standardise,
    attacks: Sequence[Attack],
    *,
    cache: Cache | None = None,
    workers: int | None = None,
    observe: Observe | None = None,
) -> NDArray[np.bool_]:
    """Return which verdicts of a bench a small change turns, shape (images, copies)."""
    decision = chain.plan.decision
    found = np.zeros(table.scores.shape[:2], dtype=bool)
    if decision is None or not decision.stability:
        return found
    judge = Judge(chain.plan)
    probability = judge.probabilities(table.flat()).probability.reshape(found.shape)
    verdicts = verdicts_of(probability, decision.real_below, decision.generated_above)
    near = (verdicts != 0) & (_margins(decision, probability) <= decision.stable_within)
    place = {image.path: number for number, image in enumerate(table.images)}
    plan = replace(chain.plan, require=())
    for copy, attack in enumerate((None, *attacks)):
        for step in decision.stability:
            waiting = np.flatnonzero(near[:, copy] & ~found[:, copy])
            if not len(waiting):
                continue
            some, again = table.images.select(waiting), _changed_copies(standardise, attack, step)
            scored = score_table(plan, some, again, cache=cache, workers=workers, observe=observe)
            others = judge.probabilities(scored.scores[:, 0]).probability
            rows = [place[image.path] for image in scored.images]
            found[rows, copy] = (
                verdicts_of(others, decision.real_below, decision.generated_above) != verdicts[rows, copy]
            )
    return found


def _margins(decision: Decision, probability: Floats) -> Floats:
    margins = [np.inf if np.isnan(one) else decision.margin(float(one)) for one in probability.ravel()]
    return np.array(margins).reshape(probability.shape)


def _changed_copies(standardise: Standardise, attack: Attack | None, step: Step) -> Standardise:
    """Return what makes the copy of an image that a run would try."""

    def apply(image: ImageFile) -> ImageFile:
        standard = standardise(image)
        made = changed(standard if attack is None else attacked(attack, standard), step)
        if isinstance(made, Failure):
            raise D2FError(Problem(made.code, f"{image.path}: {made.message}"), Exit.SOME_FAILED)
        return made

    named = [] if attack is None else [attack.name, *(one.key for one in attack.steps)]
    code = (*(() if attack is None else (one.stage for one in attack.steps)), step.stage)
    return Standardise(" / ".join([standardise.key, *named, step.key]), apply, (*standardise.code, *code))
