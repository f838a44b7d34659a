"""A chain file made into a plan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from d2f import D2FError, Exit
from d2f.chain.build import Unfitted, build_plan
from d2f.chain.check import Checked
from d2f.chain.model import ChainFile
from d2f.engine.plan import Plan
from d2f.plugins.catalog import Catalog
from tests.unit.chain import stages

TRIAD = Path(__file__).parents[2] / "chains" / "good" / "triad.yaml"


@pytest.fixture
def triad(check: Callable[[str], Checked], catalog: Catalog) -> Plan:
    file = check(TRIAD.read_text("utf-8")).file
    assert file is not None
    return build_plan(file, catalog)


def test_views(triad: Plan) -> None:
    assert list(triad.views) == ["plain", "denoised", "recompressed"]
    assert triad.views["plain"] == ()
    (wiener,) = triad.views["denoised"]
    assert isinstance(wiener.stage, stages.Wiener)
    assert wiener.stage.options == stages.Wiener.Options(window=7)


def test_equal_steps_have_equal_keys(triad: Plan) -> None:
    first, second = triad.views["recompressed"]
    assert triad.views["denoised"][0].key == first.key
    assert first.key != second.key
    assert first.key == '{"use":"wiener","with":{"noise":null,"window":7}}'


def test_detectors_and_members(triad: Plan) -> None:
    assert [type(detector.stage) for detector in triad.detectors] == [
        stages.Resnet,
        stages.NoiseStatistics,
        stages.Provenance,
    ]
    assert triad.member_names == (
        "net/plain",
        "net/denoised",
        "noise/plain",
        "noise/denoised",
        "noise/recompressed",
        "provenance/plain",
    )


def test_decision(triad: Plan) -> None:
    decision = triad.decision
    assert decision is not None
    assert set(decision.calibrators) == set(triad.member_names)
    assert decision.calibrators["net/denoised"].options == stages.Platt.Options(slope=-0.2, bias=0.1)  # type: ignore[attr-defined]
    assert isinstance(decision.combiner, stages.Logistic)
    assert decision.combiner.members == triad.member_names
    assert isinstance(decision.chain_calibrator, stages.Platt)
    assert (decision.need, decision.prior, decision.real_below, decision.generated_above) == (2, 0.5, 0.3, 0.75)


def file(**more: Any) -> ChainFile:
    return ChainFile.model_validate({"d2f": 1, "name": "a", "detectors": [{"use": "resnet"}], **more})


def test_defaults(catalog: Catalog) -> None:
    plan = build_plan(file(), catalog)
    assert plan.decision is not None
    assert isinstance(plan.decision.combiner, stages.LogitMean)
    assert plan.decision.chain_calibrator is None
    assert plan.decision.calibrators == {}


def test_without_a_decision(catalog: Catalog) -> None:
    plan = build_plan(file(combine={"use": "logistic"}), catalog, decision=False)
    assert plan.decision is None
    assert plan.digest == ""


def test_a_combiner_that_waits_for_its_weights_leaves_every_verdict_open(catalog: Catalog) -> None:
    plan = build_plan(file(combine={"use": "logistic"}), catalog)
    assert plan.decision is not None
    assert isinstance(plan.decision.combiner, Unfitted)
    assert plan.decision.need > len(plan.members)
    assert len(plan.digest) == 64


@pytest.mark.parametrize(
    ("more", "code", "exit_code"),
    [
        ({"detectors": [{"use": "nothing"}]}, "D2F110", Exit.USAGE),
        ({"detectors": [{"use": "fragile"}]}, "D2F209", Exit.PLUGIN),
        ({"combine": {"use": "logistic", "with": {"weights": {"b/plain": 1.0}}}}, "D2F122", Exit.USAGE),
    ],
)
def test_what_cannot_be_built(catalog: Catalog, more: dict[str, Any], code: str, exit_code: Exit) -> None:
    with pytest.raises(D2FError) as error:
        build_plan(file(**more), catalog)
    assert [problem.code for problem in error.value.problems] == [code]
    assert error.value.exit == exit_code
