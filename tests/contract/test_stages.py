"""Every stage that is found through the entry points keeps its contract, by the kit that authors get."""

from __future__ import annotations

import re
from typing import Any

import pytest

from d2f import (
    API_VERSION,
    Calibrator,
    Combiner,
    Detector,
    EstimatorTrainable,
    EvidenceReader,
    GradientTrainable,
    Precondition,
    Preprocessor,
)
from d2f.api.stages import OPTIONAL
from d2f.plugins.catalog import Catalog
from d2f.plugins.entries import KINDS
from d2f.plugins.registry import unmet_requirements
from d2f.testing import check_stage
from d2f.testing.subject import Subject

PROTOCOLS: dict[str, tuple[type, ...]] = {
    "detector": (Detector,),
    "preprocessor": (Preprocessor,),
    "precondition": (Precondition,),
    "evidence": (EvidenceReader,),
    "calibrator": (Calibrator,),
    "combiner": (Combiner,),
    "trainable": (EstimatorTrainable, GradientTrainable),
}
EXACT = ("noise-statistics",)
"""Handcrafted detectors with weights: their scores repeat bit for bit all the same."""

OF_THE_API = {
    "1.1": {
        *("requires", "load", "weights", "trained_on", "ablations", "needs", "time_limit", "title", "looks_at"),
        "thread_safe",
    }
}
"""What a stage may have, by the version of the plugin API: another set is another version (ADR 0001)."""

STAGES = [(kind, name) for kind in KINDS for name in Catalog.discover().names(kind)]
OURS = [(kind, name) for kind, name in STAGES if getattr(Catalog.discover().owner(kind, name), "built_in", False)]


def stage_class(kind: str, name: str) -> Any:
    stage = next(stage for stage in Catalog.discover().stages(kind) if stage.name == name)
    lacking = unmet_requirements(getattr(stage, "requires", ()))
    if lacking:
        pytest.skip(f"requires what is not installed: {lacking[0][0]}")
    return stage


def test_built_in_stages_are_found() -> None:
    # Preconditions join with their plugin.
    assert {kind for kind, _ in OURS} >= KINDS.keys() - {"precondition"}


def test_every_kind_has_a_protocol() -> None:
    assert PROTOCOLS.keys() == KINDS.keys()


def test_no_built_in_plugin_has_a_problem() -> None:
    faults = Catalog.discover().registry.faults
    assert [str(fault.problem) for fault in faults if fault.origin and fault.origin.built_in] == []


@pytest.mark.parametrize(("kind", "name"), STAGES)
def test_stage_keeps_its_contract(kind: str, name: str) -> None:
    stage = stage_class(kind, name)
    tolerance = 0.0 if name in EXACT else None
    report = check_stage(stage, kind=kind, tolerance=tolerance, without_weights=True)
    closed = [result for result in report.skipped if result.check.startswith("the other")]
    if closed:
        pytest.skip(closed[0].said)


@pytest.mark.parametrize(("kind", "name"), STAGES)
def test_stage_satisfies_its_protocol(kind: str, name: str) -> None:
    stage = Subject(kind, stage_class(kind, name)).construct()
    assert isinstance(stage, PROTOCOLS[kind])
    assert callable(getattr(stage, "load", print))


def test_optional_attributes_are_the_documented_ones() -> None:
    expected = {"requires", "load", "weights", "trained_on", "ablations", "needs", "time_limit", "thread_safe"}
    expected |= {"title", "looks_at"}
    assert OPTIONAL.keys() == expected


def test_records_of_weights() -> None:
    for record in Catalog.discover().weights:
        # Empty where nobody here could fetch the file: its first pull pins it.
        assert re.fullmatch("[0-9a-f]{64}", record.sha256) or record.untested == record.sources, record.name
        assert record.sources, record.name
        assert record.licence, record.name


def test_every_built_in_detector_says_what_it_looks_at() -> None:
    for name in Catalog.discover().names("detector"):
        stage: Any = stage_class("detector", name)
        assert 3 < len(stage.title) < 60, name
        assert stage.looks_at.endswith("."), name


def test_what_a_stage_may_have_is_what_the_version_of_the_api_says() -> None:
    assert OF_THE_API[API_VERSION] == set(OPTIONAL)
