"""`d2f chain ablate`: what each detector, view and member adds, by fitting the chain out of fold without it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from d2f.api.errors import D2FError
from d2f.api.inputs import Floats, Labels
from d2f.api.stages import Calibrator
from d2f.data.dataset import Dataset
from d2f.evaluate.fit import FitRequest, checked_and_scored, data_block, read_fit_recipe
from d2f.evaluate.fit_report import after_lines, head_lines
from d2f.evaluate.out_of_fold import out_of_fold
from d2f.evaluate.parts import as_rows
from d2f.evaluate.score import ScoreTable
from d2f.metrics import Draws, Interval, Ranked, log_likelihood_ratio_cost
from d2f.metrics.intervals import DRAWS, p_value
from d2f.report.tables import Table, plain
from d2f.version import __version__

if TYPE_CHECKING:
    from pydantic import BaseModel

    from d2f.chain.chain import Chain

Columns: TypeAlias = tuple[int, ...]
Kind: TypeAlias = Literal["chain", "detector", "view", "member"]
Place: TypeAlias = tuple[str, str]
RANKING = ("auc", "tpr_at_5")
COST = "cost"
WORST, MEAN = "worst", "mean"
"""Stand where the name of a copy does: the lowest over the attacks, and the mean over all copies."""

ADDS, HARMS, NOTHING = "adds", "harms", "no difference shown"


@dataclass(frozen=True)
class Ablated:
    """A chain without one of its parts, beside the whole chain."""

    kind: Kind
    name: str
    members: tuple[str, ...]
    copies: tuple[str, ...]
    figures: Mapping[Place, float]
    gains: Mapping[Place, Interval]
    p: Mapping[Place, float]

    @property
    def worst(self) -> str:
        """The attack with the lowest AUC; empty where there is none."""
        return min(self.copies[1:], key=lambda copy: self.figures[copy, "auc"], default="")

    @property
    def shown(self) -> str:
        """Whether the part adds: its difference in AUC, clean or at the worst attack, excludes zero."""
        clean = _shown(self.gains[self.copies[0], "auc"])
        worst = _shown(self.gains[WORST, "auc"]) if self.worst else NOTHING
        if {clean, worst} == {ADDS, HARMS}:
            return f"{clean} clean, {worst} at the worst attack"
        return worst if clean == NOTHING else clean


def _shown(gain: Interval) -> str:
    if gain.low > 0:
        return ADDS
    return HARMS if gain.high < 0 else NOTHING


@dataclass(frozen=True)
class Ablation:
    """A chain, and the chain without each of its parts; every figure is out of fold."""

    whole: Ablated
    without: tuple[Ablated, ...]
    table: ScoreTable
    request: FitRequest
    draws: Draws
    need: int
    notes: tuple[str, ...] = ()


def ablate_chain(chain: Chain, images: Dataset, request: FitRequest, draws: int = DRAWS) -> Ablation:
    """Judge a chain with everything, without each detector, each view and each member.

    Each is fitted as `d2f.evaluate.fit.fit_chain` fits, and judged on folds over whole collections. Differences are
    paired: the same images, folds and bootstrap draws of whole components. Nothing is fitted anew on a draw, so that
    an interval knows which images were judged, not which were fitted to.
    """
    table, notes = checked_and_scored(chain, images, request)
    return ablate_table(chain, table, request, draws, notes)


def ablate_table(
    chain: Chain, table: ScoreTable, request: FitRequest, draws: int = DRAWS, notes: tuple[str, ...] = ()
) -> Ablation:
    """Judge a chain on a set that was scored; `table` holds the chain's members."""
    subsets = _Subsets(chain, table, request, draws)
    whole = subsets.ablated("chain", chain.name, tuple(range(len(table.members))))
    without = tuple(subsets.ablated(*part) for part in parts_of(chain))
    return Ablation(whole, without, table, request, subsets.draws, subsets.recipe.need, notes)


def parts_of(chain: Chain) -> Iterator[tuple[Kind, str, Columns]]:
    """Yield each detector, view and member with the places of the members that are left without it."""
    members = chain.plan.members
    for name in dict.fromkeys(detector for detector, _ in members):
        yield "detector", name, tuple(place for place, member in enumerate(members) if member[0] != name)
    for name in dict.fromkeys(view for _, view in members):
        yield "view", name, tuple(place for place, member in enumerate(members) if member[1] != name)
    for out, member in enumerate(members):
        yield "member", "/".join(member), tuple(place for place in range(len(members)) if place != out)


class _Subsets:
    """Chains of some members, each fitted and judged out of fold once, beside the chain of all of them."""

    def __init__(self, chain: Chain, table: ScoreTable, request: FitRequest, draws: int) -> None:
        recipe = read_fit_recipe(chain, request.calibrator)
        known = {stage: remembering(stage) for stage in set(recipe.calibrators.values())}
        self.recipe = replace(recipe, calibrators={member: known[of] for member, of in recipe.calibrators.items()})
        self.chain, self.table, self.request, self.rows = chain, table, request, as_rows(table)
        weights = self.rows.weights.reshape(-1, len(table.copies)).sum(axis=1)
        self.draws = Draws(table.components, table.labels, draws, request.seed, weights)
        self._drawn: dict[Columns, dict[Place, Floats]] = {}
        self._every: Columns = tuple(range(len(table.members)))

    def ablated(self, kind: Kind, name: str, columns: Columns) -> Ablated:
        """Return the chain of these members beside the whole chain."""
        whole, found = self._figures(self._every), self._figures(columns)
        gaps = {place: whole[place] - found[place] for place in found}
        return Ablated(
            kind,
            name,
            tuple(self.table.members[at] for at in columns),
            self.table.copies,
            {place: float(values[0]) for place, values in found.items()},
            {place: self.draws.interval(gap) for place, gap in gaps.items()},
            {place: p_value(gap) if self.draws.varied else float("nan") for place, gap in gaps.items()},
        )

    def _figures(self, columns: Columns) -> dict[Place, Floats]:
        """Return each figure on the sample and on every draw, shape (1 + draws,)."""
        if columns not in self._drawn:
            table, llr, weights = self.table, self._llr(columns), self.draws.weights
            found: dict[Place, Floats] = {}
            for copy, name in enumerate(table.copies):
                ranked = Ranked(table.labels, llr[:, copy], weights)
                found[name, "auc"] = ranked.auc()
                found[name, "tpr_at_5"] = ranked.true_positive_rate_at(0.05)
                found[name, COST] = log_likelihood_ratio_cost(table.labels, llr[:, copy], weights)
            for figure in RANKING if len(table.copies) > 1 else ():
                found[WORST, figure] = np.min([found[name, figure] for name in table.copies[1:]], axis=0)
            found[MEAN, COST] = np.mean([found[name, COST] for name in table.copies], axis=0)
            self._drawn[columns] = found
        return self._drawn[columns]

    def _llr(self, columns: Columns) -> Floats:
        """Log-likelihood ratios in nats, out of fold, of shape (images, copies); 0 where there is no verdict."""
        llr: Floats = np.zeros(len(self.rows))
        if columns:
            rows = replace(self.rows, scores=self.rows.scores[:, list(columns)])
            members = tuple(self.recipe.members[column] for column in columns)
            chosen = {member: self.recipe.calibrators[member] for member in members}
            # Where fewer members are left than are needed, all of them are needed.
            recipe = replace(self.recipe, members=members, calibrators=chosen, need=min(self.recipe.need, len(members)))
            plan, prior, request = self.chain.plan.part(columns), self.chain.file.verdict.prior, self.request
            try:
                llr = out_of_fold(plan, recipe, rows, prior, request.folds, request.seed).llr
            except D2FError as error:
                if columns == self._every or error.problems[0].code != "D2F603":
                    raise
        return np.nan_to_num(llr, nan=0.0).reshape(-1, len(self.table.copies))


def remembering(stage: type[Calibrator]) -> type[Calibrator]:
    """Return a calibrator that does not fit twice to the same scores: they do not depend on the other members."""
    known: dict[bytes, BaseModel] = {}

    def fit(_: Any, scores: Floats, labels: Labels, weights: Floats) -> BaseModel:
        digest = hashlib.blake2b(digest_size=16)
        for array in (scores, labels, weights):
            digest.update(np.ascontiguousarray(array).tobytes())
        key = digest.digest()
        if key not in known:
            known[key] = stage.fit(scores, labels, weights)
        return known[key]

    return type(stage.__name__, (stage,), {"fit": classmethod(fit)})


def what_adds(ablation: Ablation) -> Table:
    """Every part of the chain: the figures without it, what it adds, and whether that is shown."""
    figures: tuple[str, ...] = ("AUC", "TPR@5%", "cost", "adds, clean")
    if ablation.whole.worst:
        figures = ("AUC", "worst AUC", "under", "TPR@5%", "cost", "adds, clean", "adds, at worst")
    rows = [_row("nothing", ablation.whole, compared=False)]
    rows += [_row(f"{one.kind} {one.name}", one) for one in ablation.without]
    return Table("What each part adds", ("without", *figures, "shown"), tuple(rows))


def _row(name: str, one: Ablated, compared: bool = True) -> tuple[str, ...]:
    clean, figures = one.copies[0], one.figures
    at_worst = (f"{figures[WORST, 'auc']:.3f}", one.worst) if one.worst else ()
    places = (clean, WORST) if one.worst else (clean,)
    return (
        name,
        f"{figures[clean, 'auc']:.3f}",
        *at_worst,
        f"{figures[clean, 'tpr_at_5']:.3f}",
        f"{figures[MEAN, COST]:.4f}",
        *(signed(one.gains[place, "auc"]) if compared else "" for place in places),
        one.shown if compared else "",
    )


def signed(gain: Interval) -> str:
    """Return a difference with its bounds, such as ``+0.012 [-0.003, +0.027]``."""
    return f"{gain.value:+.3f}" + ("" if gain.low != gain.low else f" [{gain.low:+.3f}, {gain.high:+.3f}]")


def reading_lines(ablation: Ablation) -> Iterator[str]:
    """Yield what the columns are, and what they are not."""
    distinct = len({one.members for one in ablation.without})
    tests = distinct * (2 if ablation.whole.worst else 1)
    yield "out of fold over whole collections; 'adds' is AUC with the part minus AUC without, with 95 % intervals"
    yield "over components; 'at worst' compares the lowest AUC over the attacks; cost is log loss over all copies, bits"
    if not ablation.draws.varied:
        yield "warning: too few components to draw from: no interval, and so nothing is shown to add"
    elif tests >= 10:
        yield f"of {tests} differences about {round(tests * 0.05)} exclude zero by chance alone"
    if ablation.need > 1 and any(len(one.members) < ablation.need for one in ablation.without):
        yield f"where fewer members are left than the {ablation.need} that the chain needs, all of them are needed"


def ablation_lines(ablation: Ablation) -> Iterator[str]:
    """Yield the report for a terminal."""
    yield from (*head_lines(ablation.table), "", *what_adds(ablation).text(), "", *reading_lines(ablation))
    yield from after_lines(ablation.table, ablation.notes)


def ablation_markdown(ablation: Ablation) -> str:
    """Return the report as a Markdown page."""
    request = ablation.request
    lines = [f"# What each part of chain {ablation.whole.name} adds", ""]
    lines += [f"{line}." for line in head_lines(ablation.table)]
    lines += [f"Protocol {request.protocol}, seed {request.seed}, {request.folds} folds; d2f {__version__}.", ""]
    lines += [*what_adds(ablation).markdown(), ""]
    lines += [f"- {line}" for line in (*reading_lines(ablation), *after_lines(ablation.table, ablation.notes))]
    return "\n".join(lines) + "\n"


def ablation_result(ablation: Ablation) -> dict[str, Any]:
    """Return every figure, of each attack too, as plain data for JSON; what is not a number is None."""
    request, table = ablation.request, ablation.table
    found: dict[str, Any] = plain(
        {
            "d2f": __version__,
            "date": request.today.isoformat(),
            "chain": ablation.whole.name,
            "data": data_block(table),
            "protocol": request.protocol,
            "copies": list(table.copies),
            "folds": request.folds,
            "seed": request.seed,
            "draws": len(ablation.draws.weights) - 1,
            "members": list(table.members),
            "whole": _plain_ablated(ablation.whole, compared=False),
            "without": [_plain_ablated(one) for one in ablation.without],
        }
    )
    return found


def _plain_ablated(one: Ablated, compared: bool = True) -> dict[str, Any]:
    figures: dict[str, dict[str, Any]] = {}
    gains: dict[str, dict[str, Any]] = {}
    for (copy, figure), value in one.figures.items():
        figures.setdefault(copy, {})[figure] = value
        difference = {"difference": list(one.gains[copy, figure]), "p": one.p[copy, figure]}
        gains.setdefault(copy, {})[figure] = difference
    found = {"kind": one.kind, "name": one.name, "members": list(one.members), "worst": one.worst, "figures": figures}
    return {**found, "whole_minus_this": gains, "shown": one.shown} if compared else found
