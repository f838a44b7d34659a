"""What each detector, view and member adds to a chain: it is fitted out of fold without, and the two are compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from d2f.chain.chain import chain_of
from d2f.chain.thin import thinned_text
from d2f.chain.yaml import as_text
from d2f.data.dataset import Dataset
from d2f.evaluate.bench_figures import DRAWS, Draws
from d2f.evaluate.comparing import Comparing, Kind, Left
from d2f.evaluate.fit import Fit, checked_and_scored, fit_table
from d2f.evaluate.fit_rows import Request
from d2f.evaluate.score import ScoreTable
from d2f.evaluate.subsets import Columns, Subsets

if TYPE_CHECKING:
    from d2f.chain.chain import Chain


TOLERANCE = 0.002
"""Bits that the log loss may rise above the lowest that was seen."""


@dataclass(frozen=True)
class Step:
    """One step of a selection."""

    member: str
    left: Columns
    cost: float
    taken: bool = True


def eliminate(subsets: Subsets, tolerance: float = TOLERANCE) -> Iterator[Step]:
    """Leave out, one at a time, the member without which the chain is best, while that costs next to nothing.

    The measure is the log-likelihood-ratio cost out of fold over all copies, clean and attacked: log loss at even
    prior, in bits. It is a proper score of the probability that a chain is used for: it sees a calibration that
    slips under an attack, and a verdict that is no longer given, neither of which moves an AUC within one copy; and
    it changes with every image, where an AUC changes with swaps of rank only. A step may raise it by no more than
    `tolerance` over the lowest seen so far, so that small losses do not add up.
    """
    left = subsets.every
    lowest = subsets.cost(left)
    yield Step("", left, lowest)
    while len(left) > max(1, subsets.recipe.need):
        without = [tuple(place for place in left if place != out) for out in left]
        costs = [subsets.cost(columns) for columns in without]
        best = min(range(len(left)), key=lambda at: costs[at])
        step = Step(subsets.table.members[left[best]], without[best], costs[best], costs[best] <= lowest + tolerance)
        yield step
        if not step.taken:
            return
        left, lowest = step.left, min(lowest, step.cost)


def picked(steps: Sequence[Step]) -> Columns:
    """Return the places of the members that stay."""
    return [step for step in steps if step.taken][-1].left


def fit_picked(subsets: Subsets, columns: Columns, notes: tuple[str, ...] = ()) -> Fit:
    """Fit the chain of these members to all images, as `d2f chain fit` would; its file names no others."""
    chain, table = subsets.chain, subsets.table
    members = tuple(table.members[column] for column in columns)
    thinned = chain_of(as_text(chain.origin, thinned_text(chain.text, members)), chain.catalog, refit=True)
    failed = tuple(one for one in table.failed if one[1] not in table.members or one[1] in members)
    scores = table.scores[:, :, list(columns)]
    return fit_table(thinned, replace(table, members=members, scores=scores, failed=failed), subsets.request, notes)


@dataclass(frozen=True)
class Ablation:
    """A chain, and the chain without each of its parts; every figure is out of fold."""

    whole: Left
    without: tuple[Left, ...]
    comparing: Comparing
    notes: tuple[str, ...] = ()

    @property
    def subsets(self) -> Subsets:
        """The chain fitted with some of its members."""
        return self.comparing.subsets

    @property
    def table(self) -> ScoreTable:
        """The scores that it was measured on."""
        return self.subsets.table


def ablate(chain: Chain, images: Dataset, request: Request, draws: int = DRAWS) -> Ablation:
    """Judge a chain with everything, without each detector, each view and each member.

    Each is fitted as `d2f.evaluate.fit.fit_chain` fits, and judged on folds over whole collections. Differences are
    paired: the same images, folds and bootstrap draws of whole components. Nothing is fitted anew on a draw, so that
    an interval knows which images were judged, not which were fitted to.
    """
    table, notes = checked_and_scored(chain, images, request)
    return ablate_table(chain, table, request, draws, notes)


def ablate_table(
    chain: Chain, table: ScoreTable, request: Request, draws: int = DRAWS, notes: tuple[str, ...] = ()
) -> Ablation:
    """Judge a chain on a set that was scored; `table` holds the chain's members."""
    subsets = Subsets(chain, table, request)
    comparing = Comparing(subsets, Draws(table.components, table.labels, draws, request.seed, subsets.weights))
    whole = comparing.left("chain", chain.name, subsets.every)
    return Ablation(whole, tuple(comparing.left(*part) for part in parts(chain)), comparing, notes)


def parts(chain: Chain) -> Iterator[tuple[Kind, str, Columns]]:
    """Yield each detector, view and member with the places of the members that are left without it."""
    members = chain.plan.members
    for name in dict.fromkeys(detector for detector, _ in members):
        yield "detector", name, tuple(place for place, member in enumerate(members) if member[0] != name)
    for name in dict.fromkeys(view for _, view in members):
        yield "view", name, tuple(place for place, member in enumerate(members) if member[1] != name)
    for out, member in enumerate(members):
        yield "member", "/".join(member), tuple(place for place in range(len(members)) if place != out)
