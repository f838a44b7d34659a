"""A chain fitted to a labelled set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from d2f.api.errors import D2FError
from d2f.chain.write import fitted_text
from d2f.data.dataset import Dataset
from d2f.data.groups import digest_of
from d2f.data.protocol import for_fitting
from d2f.evaluate.cached import Keeping, fill_kept
from d2f.evaluate.fit_rows import Request, Rows, as_rows, read_recipe
from d2f.evaluate.out_of_fold import (
    Dealt,
    OutOfFold,
    deal,
    digests,
    find_overlap,
    need_no_overlap,
    other_recipes,
    out_of_fold,
)
from d2f.evaluate.parts import Parts, Thresholds, fit_parts, fit_thresholds
from d2f.evaluate.score import CLEAN, Collector, ScoreTable, fill, fitting_key, read_attacks
from d2f.version import __version__

if TYPE_CHECKING:
    from d2f.chain.chain import Chain
    from d2f.chain.model import VerdictRule


def scored_unseen(chain: Chain, images: Dataset, request: Request) -> tuple[ScoreTable, tuple[str, ...]]:
    """Score a set as a request says, by weights that did not see it."""
    dealt = deal(chain, images, request.oof_weights)
    notes = tuple(other_recipes(dealt, chain.plan, request.oof_weights))
    if request.allow_overlap:
        found = find_overlap(dealt, images, request.oof_weights)
        notes += tuple(f"{sentence}: the fit flatters it" for sentence in found)
    else:
        need_no_overlap(dealt, images, request.oof_weights)
    return replace(_scored(chain, images, dealt, request), oof_weights=digests(dealt, chain.plan)), notes


def _scored(chain: Chain, images: Dataset, dealt: Sequence[Dealt], request: Request) -> ScoreTable:
    bring = for_fitting(request.protocol, request.seed)
    attacks = read_attacks(request.attacks, chain.catalog)
    collector = Collector(images, (CLEAN, *(attack.name for attack in attacks)), chain.plan.member_names)
    workers, tick = request.workers, request.tick
    for one in dealt:
        if request.keep_scores is None:
            fill(collector, one.numbers, one.plan, bring, attacks, workers=workers, tick=tick)
        else:
            keeping = Keeping(request.keep_scores, fitting_key(request.protocol, request.seed))
            fill_kept(collector, one.numbers, one.plan, bring, attacks, keeping, workers=workers, tick=tick)
    return collector.table()


LEAST = 10
"""Fewer images of a label than this are too few to fit anything to."""


@dataclass(frozen=True)
class Fit:
    """A fitted chain and what was measured on the way."""

    text: str
    table: ScoreTable
    rows: Rows
    parts: Parts
    judged: OutOfFold
    thresholds: Thresholds
    rule: VerdictRule
    notes: tuple[str, ...] = ()


def fit_chain(chain: Chain, images: Dataset, request: Request) -> Fit:
    """Fit calibration, combination and thresholds."""
    table, notes = checked_and_scored(chain, images, request)
    return fit_table(chain, table, request, notes)


def checked_and_scored(chain: Chain, images: Dataset, request: Request) -> tuple[ScoreTable, tuple[str, ...]]:
    """Return the scores that a chain is fitted to, and what a user should know; raises as `fit_chain`."""
    need_enough(images)
    read_recipe(chain, request.calibrator)  # what is wrong with it is said before the long work
    return scored_unseen(chain, images, request)


def fit_table(chain: Chain, table: ScoreTable, request: Request, notes: tuple[str, ...] = ()) -> Fit:
    """Fit to a set that was scored; `table` holds the chain's members."""
    recipe = read_recipe(chain, request.calibrator)
    rows, rule = as_rows(table), chain.file.verdict
    judged = out_of_fold(chain.plan, recipe, rows, rule.prior, request.folds, request.seed)
    parts = fit_parts(recipe, rows, request.folds, request.seed)
    thresholds = fit_thresholds(rows, judged.probability, rule.false_positive_rate, rule.miss_rate)
    updates = {
        **_stages(chain, parts),
        "verdict": verdict_block(rule, thresholds),
        "fitted": _fitted(chain, table, request),
    }
    return Fit(fitted_text(chain.text, updates), table, rows, parts, judged, thresholds, rule, notes)


def need_enough(images: Dataset) -> None:
    """Raise D2F603 where a label has fewer than `LEAST` images."""
    for label, word in enumerate(("photographs", "generated images")):
        count = int((images.labels == label).sum())
        if count < LEAST:
            raise D2FError.of("D2F603", f"{count} {word}; a fit needs at least {LEAST} of each label")


def verdict_block(rule: VerdictRule, thresholds: Thresholds) -> dict[str, Any]:
    """Return the key `verdict` with the thresholds that were found."""
    return {
        **rule.model_dump(mode="json"),
        "real_below": thresholds.real_below,
        "generated_above": thresholds.generated_above,
    }


def _stages(chain: Chain, parts: Parts) -> dict[str, Any]:
    recipe, combine = parts.recipe, chain.file.combine
    calibrate = {
        member: {"use": recipe.calibrators[member].name, "with": _plain(options)}
        for member, options in parts.calibrators.items()
    }
    combined: dict[str, Any] = {"use": combine.use, "with": _plain(parts.combiner)}
    if not combined["with"]:
        del combined["with"]
    if combine.need > 1:
        combined["need"] = combine.need
    combined["calibrate"] = {"use": recipe.chain_calibrator.name, "with": _plain(parts.chain_calibrator)}
    return {"calibrate": calibrate, "combine": combined}


def _fitted(chain: Chain, table: ScoreTable, request: Request) -> dict[str, Any]:
    return {
        **data_block(table),
        "protocol": request.protocol,
        "attacks": list(table.copies[1:]),
        "date": request.today.isoformat(),
        "d2f": __version__,
        "weights": {
            record.name: record.sha256
            for detector in chain.plan.detectors
            for record in getattr(detector.stage, "weights", ())
        },
        **oof_weights_block(chain, table),
    }


def data_block(table: ScoreTable) -> dict[str, Any]:
    """Return what identifies and counts the images that were used."""
    labels = table.labels
    return {
        "data": digest_of(zip(table.sha256, labels.tolist(), strict=True)),
        "images": len(labels),
        "real": int((labels == 0).sum()),
        "generated": int((labels == 1).sum()),
        "collections": len(set(table.components.tolist())),
    }


def oof_weights_block(chain: Chain, table: ScoreTable) -> dict[str, Any]:
    """Return the key `oof_weights`, or nothing where no weights stood in for those of the chain's detectors."""
    known = {detector.id for detector in chain.plan.detectors}
    found = {name: list(sha256) for name, sha256 in table.oof_weights.items() if name in known}
    return {"oof_weights": found} if found else {}


def _plain(options: Any) -> Mapping[str, Any]:
    plain: Mapping[str, Any] = options.model_dump(mode="json", by_alias=True)
    return plain
