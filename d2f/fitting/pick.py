"""Which cells a chain keeps: backward elimination by log loss out of fold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from d2f.chain.load import chain_of
from d2f.chain.source import as_text
from d2f.chain.thin import thinned_text
from d2f.fitting.fit import Fit, fit_table
from d2f.fitting.subsets import Columns, Subsets

TOLERANCE = 0.002
"""Bits that the log loss may rise above the lowest that was seen."""


@dataclass(frozen=True)
class Step:
    """One step of a selection.

    Parameters
    ----------
    cell : str
        The one whose removal costs least; empty of the beginning, when nothing is left out.
    left : tuple of int
        Places of the cells that are left without it.
    cost : float
        Of those, in bits.
    taken : bool
        Whether it is left out; not on the last step, when it would cost too much.
    """

    cell: str
    left: Columns
    cost: float
    taken: bool = True


def eliminate(subsets: Subsets, tolerance: float = TOLERANCE) -> Iterator[Step]:
    """Leave out, one at a time, the cell without which the chain is best, while that costs next to nothing.

    The measure is the log-likelihood-ratio cost out of fold over all copies, clean and attacked: log loss at even
    prior, in bits. It is a proper score of the probability that a chain is used for: it sees a calibration that
    slips under an attack, and a verdict that is no longer given, neither of which moves an AUC within one copy; and
    it changes with every image, where an AUC changes with swaps of rank only. A step may raise it by no more than
    `tolerance` over the lowest seen so far, so that small losses do not add up.

    Parameters
    ----------
    subsets : Subsets
    tolerance : float
        Bits, at least 0.

    Yields
    ------
    Step
        The beginning, each cell left out, and where it is not the chain's `need` that ends it, the one that stays.
    """
    left = subsets.every
    lowest = subsets.cost(left)
    yield Step("", left, lowest)
    while len(left) > max(1, subsets.recipe.need):
        without = [tuple(place for place in left if place != out) for out in left]
        costs = [subsets.cost(columns) for columns in without]
        best = min(range(len(left)), key=lambda at: costs[at])
        step = Step(subsets.table.cells[left[best]], without[best], costs[best], costs[best] <= lowest + tolerance)
        yield step
        if not step.taken:
            return
        left, lowest = step.left, min(lowest, step.cost)


def picked(steps: Sequence[Step]) -> Columns:
    """Return the places of the cells that stay."""
    return [step for step in steps if step.taken][-1].left


def fit_picked(subsets: Subsets, columns: Columns, notes: tuple[str, ...] = ()) -> Fit:
    """Fit the chain of these cells to all images, as `d2f chain fit` would; its file names no others."""
    chain, table = subsets.chain, subsets.table
    cells = tuple(table.cells[column] for column in columns)
    thinned = chain_of(as_text(chain.origin, thinned_text(chain.text, cells)), chain.catalog, refit=True)
    failed = tuple(one for one in table.failed if one[1] not in table.cells or one[1] in cells)
    scores = table.scores[:, :, list(columns)]
    return fit_table(thinned, replace(table, cells=cells, scores=scores, failed=failed), subsets.request, notes)
