"""A set scored for a fit: by weights that did not see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from d2f.data.dataset import Dataset
from d2f.fitting.overlap import find_overlap, need_no_overlap
from d2f.fitting.request import Request
from d2f.fitting.stand_ins import Dealt, deal, digests, other_recipes
from d2f.scoring.attack import read_attacks
from d2f.scoring.collector import Collector
from d2f.scoring.copies import CLEAN
from d2f.scoring.protocol import bring_for_fitting, fitting_key
from d2f.scoring.score_kept import Keeping, fill_kept
from d2f.scoring.score_set import fill
from d2f.scoring.table import ScoreTable

if TYPE_CHECKING:
    from d2f.chain.chain import Chain


def scored_unseen(chain: Chain, images: Dataset, request: Request) -> tuple[ScoreTable, tuple[str, ...]]:
    """Score a set as a request says, by weights that did not see it.

    Returns
    -------
    ScoreTable
    tuple of str
        Which stand-ins another recipe made; what weights saw all the same, where the request allows it.

    Raises
    ------
    D2FError
        D2F604 where weights and all that stand in for them saw an image; what dealing and scoring raise.
    """
    dealt = deal(chain, images, request.stand_ins)
    notes = tuple(other_recipes(dealt, chain.plan, request.stand_ins))
    if request.allow_overlap:
        found = find_overlap(dealt, images, request.stand_ins)
        notes += tuple(f"{sentence}: the fit flatters it" for sentence in found)
    else:
        need_no_overlap(dealt, images, request.stand_ins)
    return replace(_scored(chain, images, dealt, request), stand_ins=digests(dealt, chain.plan)), notes


def _scored(chain: Chain, images: Dataset, dealt: Sequence[Dealt], request: Request) -> ScoreTable:
    bring = bring_for_fitting(request.protocol, request.seed)
    attacks = read_attacks(request.attacks, chain.catalog)
    collector = Collector(images, (CLEAN, *(attack.name for attack in attacks)), chain.plan.cell_names)
    workers, tick = request.workers, request.tick
    for one in dealt:
        if request.keep_scores is None:
            fill(collector, one.numbers, one.plan, bring, attacks, workers=workers, tick=tick)
        else:
            keeping = Keeping(request.keep_scores, fitting_key(request.protocol, request.seed))
            fill_kept(collector, one.numbers, one.plan, bring, attacks, keeping, workers=workers, tick=tick)
    return collector.table()
