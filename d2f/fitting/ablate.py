"""What each detector, view and cell adds to a chain: it is fitted out of fold without, and the two are compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from d2f.bench.draws import DRAWS, Draws
from d2f.data.dataset import Dataset
from d2f.fitting.comparing import Comparing, Kind, Left
from d2f.fitting.fit import checked_and_scored
from d2f.fitting.request import Request
from d2f.fitting.subsets import Columns, Subsets
from d2f.scoring.table import ScoreTable

if TYPE_CHECKING:
    from d2f.chain.chain import Chain


@dataclass(frozen=True)
class Ablation:
    """A chain, and the chain without each of its parts; every figure is out of fold.

    Parameters
    ----------
    whole : Left
        Nothing left out.
    without : tuple of Left
        Detectors, then views, then cells, in the chain's order.
    comparing : Comparing
        For further questions.
    notes : tuple of str
        What a user should know.
    """

    whole: Left
    without: tuple[Left, ...]
    comparing: Comparing
    notes: tuple[str, ...] = ()

    @property
    def subsets(self) -> Subsets:
        """The chain fitted with some of its cells."""
        return self.comparing.subsets

    @property
    def table(self) -> ScoreTable:
        """The scores that it was measured on."""
        return self.subsets.table


def ablate(chain: Chain, images: Dataset, request: Request, draws: int = DRAWS) -> Ablation:
    """Judge a chain with everything, without each detector, each view and each cell.

    Each is fitted as `d2f.fitting.fit.fit_chain` fits, and judged on folds over whole collections. Differences are
    paired: the same images, folds and bootstrap draws of whole components. Nothing is fitted anew on a draw, so that
    an interval knows which images were judged, not which were fitted to.

    Parameters
    ----------
    chain : Chain
        Loaded with ``refit=True``.
    images : Dataset
    request : Request
    draws : int
        Of the bootstrap.

    Raises
    ------
    D2FError
        As `d2f.fitting.fit.fit_chain`.
    """
    table, notes = checked_and_scored(chain, images, request)
    return ablate_table(chain, table, request, draws, notes)


def ablate_table(
    chain: Chain, table: ScoreTable, request: Request, draws: int = DRAWS, notes: tuple[str, ...] = ()
) -> Ablation:
    """Judge a chain on a set that was scored; `table` holds the chain's cells."""
    subsets = Subsets(chain, table, request)
    comparing = Comparing(subsets, Draws(table.components, table.labels, draws, request.seed, subsets.weights))
    whole = comparing.left("chain", chain.name, subsets.every)
    return Ablation(whole, tuple(comparing.left(*part) for part in parts(chain)), comparing, notes)


def parts(chain: Chain) -> Iterator[tuple[Kind, str, Columns]]:
    """Yield each detector, view and cell with the places of the cells that are left without it."""
    cells = chain.plan.cells
    for name in dict.fromkeys(detector for detector, _ in cells):
        yield "detector", name, tuple(place for place, cell in enumerate(cells) if cell[0] != name)
    for name in dict.fromkeys(view for _, view in cells):
        yield "view", name, tuple(place for place, cell in enumerate(cells) if cell[1] != name)
    for out, cell in enumerate(cells):
        yield "cell", "/".join(cell), tuple(place for place in range(len(cells)) if place != out)
