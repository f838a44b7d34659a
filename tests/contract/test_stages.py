"""Every stage that is found through the entry points keeps its contract."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from d2f import Calibrator, Combiner, Detector, EstimatorTrainable, GradientTrainable, Preprocessor
from d2f.api.stages import OPTIONAL
from d2f.plugins.build import build
from d2f.plugins.catalog import Catalog
from d2f.plugins.description import options_of
from d2f.plugins.kinds import KINDS
from d2f.plugins.requirements import missing
from d2f.plugins.stage_check import lacks

PROTOCOLS: dict[str, tuple[type, ...]] = {
    "detector": (Detector,),
    "preprocessor": (Preprocessor,),
    "calibrator": (Calibrator,),
    "combiner": (Combiner,),
    "trainable": (EstimatorTrainable, GradientTrainable),
}
CELLS = ("one/plain", "two/plain")
STAGES = [(kind, name) for kind in KINDS for name in Catalog.discover().names(kind)]
OURS = [(kind, name) for kind, name in STAGES if getattr(Catalog.discover().owner(kind, name), "built_in", False)]


def stage_class(kind: str, name: str) -> Any:
    return next(stage for stage in Catalog.discover().stages(kind) if stage.name == name)


def fitted(kind: str, stage: Any) -> dict[str, Any]:
    """Return the options that a calibrator or combiner fits to a little seeded data; none for other kinds."""
    random = np.random.default_rng(3)
    labels = np.repeat(np.array([0, 1], np.int8), 40)
    scores = random.normal(size=(80, 2)) + labels[:, None]
    weights = np.full(80, 1 / 80)
    if kind == "calibrator":
        return stage.fit(scores[:, 0], labels, weights).model_dump()
    if kind == "combiner":
        return stage.fit(stage.Options(), CELLS, 1 / (1 + np.exp(-scores)), labels, weights).model_dump()
    return {}


def built(kind: str, name: str) -> Any:
    """Build a stage with fitted or default options; skip it where it has none or needs what is not installed."""
    stage = stage_class(kind, name)
    if any(option.required for option in options_of(stage)):
        pytest.skip("has options without a default")
    if missing(getattr(stage, "requires", ())):
        pytest.skip("requires what is not installed")
    more = {"cells": CELLS} if kind == "combiner" else {}
    return build(Catalog.discover(), kind, name, fitted(kind, stage), **more)


def test_built_in_stages_are_found() -> None:
    assert {kind for kind, _ in OURS} >= {"preprocessor", "calibrator", "combiner"}


def test_every_kind_has_a_protocol() -> None:
    assert PROTOCOLS.keys() == KINDS.keys()


def test_no_built_in_plugin_has_a_problem() -> None:
    assert [str(fault.problem) for fault in Catalog.discover().faults if fault.origin and fault.origin.built_in] == []


@pytest.mark.parametrize(("kind", "name"), STAGES)
def test_class(kind: str, name: str) -> None:
    stage = stage_class(kind, name)
    assert lacks(kind, stage) == ()
    assert stage.summary.endswith("."), "the summary is a sentence"
    assert len(stage.summary) <= 100


@pytest.mark.parametrize(("kind", "name"), STAGES)
def test_options(kind: str, name: str) -> None:
    for option in options_of(stage_class(kind, name)):
        assert re.fullmatch(r"[a-z][a-z0-9_]*", option.name)
        assert "something else" not in option.takes, f"{option.name}: no words for what it takes"


@pytest.mark.parametrize(("kind", "name"), STAGES)
def test_stage_satisfies_its_protocol(kind: str, name: str) -> None:
    assert isinstance(built(kind, name), PROTOCOLS[kind])


@pytest.mark.parametrize(("kind", "name"), STAGES)
def test_optional_attributes(kind: str, name: str) -> None:
    stage = built(kind, name)
    assert OPTIONAL.keys() == {"requires", "load", "weights", "trained_on", "thread_safe"}
    assert isinstance(getattr(stage, "thread_safe", False), bool)
    assert callable(getattr(stage, "load", print))
    for record in getattr(stage, "weights", ()):
        assert re.fullmatch("[0-9a-f]{64}", record.sha256)


def test_records_of_weights() -> None:
    for record in Catalog.discover().weights:
        assert re.fullmatch("[0-9a-f]{64}", record.sha256), record.name
        assert record.sources, record.name
        assert record.licence, record.name
