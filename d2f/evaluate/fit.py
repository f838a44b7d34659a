"""`d2f chain fit`: calibration, combination and thresholds learned from images that no weights were trained on.

`fit_chain` scores the set (out-of-fold weights where asked), judges everything out of fold, fits all parts and writes
the chain anew; `fit_thresholds_only` re-fits the thresholds of a fitted chain on a user's own images.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from d2f.api.errors import D2FError
from d2f.api.inputs import Floats, ProtocolName
from d2f.cache import Cache
from d2f.chain.write import fitted_text
from d2f.chain.yaml import parse, text_of
from d2f.data.dataset import Dataset
from d2f.data.groups import digest_of, require_one_label
from d2f.data.protocol import for_fitting
from d2f.data.weights import require_both
from d2f.engine.findings import load_once
from d2f.engine.judge import Judge
from d2f.evaluate import attacks
from d2f.evaluate.attacks import Attack, read_attacks
from d2f.evaluate.out_of_fold import (
    OutOfFold,
    assign,
    find_overlap,
    oof_digests,
    other_recipes,
    out_of_fold,
    require_no_overlap,
)
from d2f.evaluate.parts import FitRecipe, FitRows, Parts, Thresholds, as_rows, fit_parts, fit_thresholds
from d2f.evaluate.score import ScoreTable, Tick, score_table
from d2f.evaluate.stability import Stability, fit_stability, stability_steps
from d2f.plugins.build import read_options
from d2f.version import __version__

if TYPE_CHECKING:
    from d2f.chain.chain import Chain
    from d2f.chain.model import VerdictRule

CALIBRATOR = "platt"
"""Of a member, or of the chain's own ratio, for which the file names none."""

LEAST = 10
"""Fewer images of a label than this are too few to fit anything to."""


@dataclass(frozen=True)
class FitRequest:
    """How a chain is to be fitted; `name` becomes the chain's."""

    attacks: tuple[str, ...] = attacks.FITTING
    protocol: ProtocolName = "whole"
    folds: int = 5
    seed: int = 0
    calibrator: str = CALIBRATOR
    allow_overlap: bool = False
    oof_weights: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    workers: int | None = None
    cache: Cache | None = None
    today: date = field(default_factory=date.today)
    tick: Tick = None


@dataclass(frozen=True)
class ThresholdFit:
    """Thresholds found on a set, with the judgements that they were found on."""

    text: str
    table: ScoreTable
    rows: FitRows
    llr: Floats  # (m,), float64
    probability: Floats  # (m,), float64
    thresholds: Thresholds
    rule: VerdictRule
    notes: tuple[str, ...] = ()
    stability: Stability | None = None


@dataclass(frozen=True)
class Fit(ThresholdFit):
    """A fitted chain and what was measured out of fold on the way."""

    parts: Parts = field(kw_only=True)
    judged: OutOfFold = field(kw_only=True)


def fit_chain(chain: Chain, images: Dataset, request: FitRequest) -> Fit:
    """Fit calibration, combination and thresholds."""
    table, notes = checked_and_scored(chain, images, request)
    return fit_table(chain, table, request, notes)


def checked_and_scored(chain: Chain, images: Dataset, request: FitRequest) -> tuple[ScoreTable, tuple[str, ...]]:
    """Return the scores that a chain is fitted to, and what a user should know; raises as `fit_chain`."""
    require_both(images.label_counts, LEAST, "a fit")
    read_fit_recipe(chain, request.calibrator)  # its faults are reported before the long work
    return scored_unseen(chain, images, request)


def scored_unseen(chain: Chain, images: Dataset, request: FitRequest) -> tuple[ScoreTable, tuple[str, ...]]:
    """Score a set as a request says, by weights that did not see it."""
    assigned = assign(chain, images, request.oof_weights)
    notes = tuple(other_recipes(assigned, chain.plan, request.oof_weights))
    if request.allow_overlap:
        found = find_overlap(assigned, images, request.oof_weights)
        notes += tuple(f"{sentence}: the fit is optimistic" for sentence in found)
    else:
        require_no_overlap(assigned, images, request.oof_weights)
    steps = stability_steps(chain)
    changes = [Attack(f"verdict.stability[{place}]", (step,)) for place, step in enumerate(steps)]
    for step in steps:
        load_once(step.stage)
    table = score_table(
        chain.plan,
        images,
        for_fitting(request.protocol, request.seed),
        (*read_attacks(request.attacks, chain.catalog), *changes),
        assigned=assigned,
        cache=request.cache,
        workers=request.workers,
        tick=request.tick,
    )
    require_one_label(table.images, table.sha256)
    table = table.without_changes(len(changes))
    return replace(table, oof_weights=oof_digests(assigned, chain.plan)), notes


def fit_table(chain: Chain, table: ScoreTable, request: FitRequest, notes: tuple[str, ...] = ()) -> Fit:
    """Fit to a set that was scored; `table` holds the chain's members."""
    recipe = read_fit_recipe(chain, request.calibrator)
    rows, rule = as_rows(table), chain.file.verdict
    judged = out_of_fold(chain.plan, recipe, rows, rule.prior, request.folds, request.seed)
    parts = fit_parts(recipe, rows, request.folds, request.seed)
    thresholds = fit_thresholds(rows, judged.probability, rule.false_positive_rate, rule.miss_rate)
    decision = parts.decision(rule.prior, thresholds.real_below, thresholds.generated_above)
    stability = fit_stability(chain.plan, decision, table)
    updates = {
        **({"name": request.name} if request.name else {}),
        **_stages(chain, parts),
        "verdict": _verdict_block(chain, thresholds, stability),
        "fitted": _fitted(chain, table, request),
    }
    text = fitted_text(chain.text, updates)
    found = (judged.llr, judged.probability, thresholds, rule)
    return Fit(text, table, rows, *found, notes, stability, parts=parts, judged=judged)


def fit_thresholds_only(chain: Chain, images: Dataset, request: FitRequest) -> ThresholdFit:
    """Find thresholds for a fitted chain; no folds are needed, for nothing else is learned."""
    if not chain.file.calibrate:
        raise D2FError.of("D2F127", f"chain '{chain.name}' is not fitted, so it has no thresholds to re-fit")
    require_both(images.label_counts)
    table, notes = scored_unseen(chain, images, request)
    rows = as_rows(table, by_source=False)
    judged = Judge(chain.plan).probabilities(rows.scores)
    if np.isnan(judged.probability).all():
        raise D2FError.of("D2F603", "the chain has a verdict for none of the images")
    rule = chain.file.verdict
    thresholds = fit_thresholds(rows, judged.probability, rule.false_positive_rate, rule.miss_rate)
    assert chain.plan.decision is not None
    decision = replace(
        chain.plan.decision, real_below=thresholds.real_below, generated_above=thresholds.generated_above
    )
    stability = fit_stability(chain.plan, decision, table)
    before = chain.file.fitted
    again = {
        **data_block(table),
        "protocol": request.protocol,
        "date": request.today.isoformat(),
        **_oof_weights_block(chain, table),
    }
    updates = {
        "name": request.name or f"{chain.name}-own",
        "verdict": _verdict_block(chain, thresholds, stability),
        "fitted": {**(before.model_dump(mode="json", exclude_none=True) if before else {}), "thresholds": again},
    }
    text = fitted_text(chain.text, updates)
    return ThresholdFit(text, table, rows, judged.llr, judged.probability, thresholds, rule, notes, stability)


def read_fit_recipe(chain: Chain, calibrator: str = CALIBRATOR) -> FitRecipe:
    """Read off a chain what its author chose.

    A calibrator that the file names, for a member under ``calibrate`` or for the chain under ``combine.calibrate``,
    is fitted anew; `calibrator` serves where it names none.
    """
    named = _named(chain.text)
    combine = chain.file.combine
    above = combine.calibrate.use if combine.calibrate else calibrator
    combiner = chain.catalog.find("combiner", combine.use)
    members = chain.plan.member_names
    return FitRecipe(
        members,
        {member: chain.catalog.find("calibrator", named.get(member, calibrator)) for member in members},
        combiner,
        read_options("combiner", combiner, combine.with_),
        chain.catalog.find("calibrator", above),
        combine.need,
    )


def _named(text: str) -> dict[str, str]:
    """Calibrators by member, as the file names them; a chain loaded to be refitted no longer holds them."""
    source, _ = parse(text_of("chain", text))
    calibrate: Any = source.data.get("calibrate") if source else None
    listed = calibrate.items() if isinstance(calibrate, Mapping) else ()
    return {
        member: use["use"] for member, use in listed if isinstance(use, Mapping) and isinstance(use.get("use"), str)
    }


def chain_name(text: str, otherwise: str) -> str:
    """Return text as a name that a chain file takes; `otherwise` where nothing of it can be one."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return name if re.match(r"[a-z]", name) else otherwise


def _verdict_block(chain: Chain, thresholds: Thresholds, stability: Stability | None) -> dict[str, Any]:
    found: dict[str, Any] = {"real_below": thresholds.real_below, "generated_above": thresholds.generated_above}
    if stability is not None:
        steps = (json.loads(step.key) for step in stability_steps(chain))
        found |= {"stability": [{"use": one["use"], "with": one["with"]} for one in steps]}
        found |= {"stable_within": stability.within}
    return {**chain.file.verdict.model_dump(mode="json", by_alias=True, exclude_none=True), **found}


def _stages(chain: Chain, parts: Parts) -> dict[str, Any]:
    recipe, combine = parts.recipe, chain.file.combine
    calibrate = {
        member: {"use": recipe.calibrators[member].name, "with": _plain_options(options)}
        for member, options in parts.calibrators.items()
    }
    combined: dict[str, Any] = {"use": combine.use, "with": _plain_options(parts.combiner)}
    if not combined["with"]:
        del combined["with"]
    if combine.need > 1:
        combined["need"] = combine.need
    combined["calibrate"] = {"use": recipe.chain_calibrator.name, "with": _plain_options(parts.chain_calibrator)}
    return {"calibrate": calibrate, "combine": combined}


def _fitted(chain: Chain, table: ScoreTable, request: FitRequest) -> dict[str, Any]:
    stages: list[Any] = [detector.stage for detector in chain.plan.detectors]
    stages += [step.stage for steps in chain.plan.views.values() for step in steps]
    return {
        **data_block(table),
        "protocol": request.protocol,
        "attacks": list(table.copies[1:]),
        "date": request.today.isoformat(),
        "d2f": __version__,
        "weights": {record.name: record.sha256 for stage in stages for record in getattr(stage, "weights", ())},
        **_oof_weights_block(chain, table),
    }


def data_block(table: ScoreTable) -> dict[str, Any]:
    """Return what identifies and counts the images that were used."""
    real, generated = table.images.label_counts
    return {
        "data": digest_of(zip(table.sha256, table.labels.tolist(), strict=True)),
        "images": real + generated,
        "real": real,
        "generated": generated,
        "collections": len(set(table.components.tolist())),
    }


def _oof_weights_block(chain: Chain, table: ScoreTable) -> dict[str, Any]:
    """The key `oof_weights`, or nothing where a chain's own weights scored all images."""
    known = {detector.id for detector in chain.plan.detectors}
    found = {name: list(sha256) for name, sha256 in table.oof_weights.items() if name in known}
    return {"oof_weights": found} if found else {}


def _plain_options(options: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = options.model_dump(mode="json", by_alias=True)
    return found
