"""Stages that keep their contract pass, and the report says what was measured."""

from __future__ import annotations

import pytest

from d2f.testing import check_stage, run_checks
from d2f.testing.kit import CHECKS
from tests.unit.testing.stages import SOUND, Contrast, Line, Means, Shift, Sum


@pytest.mark.parametrize("stage", SOUND, ids=lambda stage: stage.name)
def test_a_sound_stage_passes(stage: type) -> None:
    report = check_stage(stage)
    assert report.failed == ()
    assert len(report.results) >= 10
    assert {result.check for result in report.results} <= {check.name for check in CHECKS[report.kind]}


def test_names_of_checks_are_unique_within_a_kind() -> None:
    for checks in CHECKS.values():
        assert len({check.name for check in checks}) == len(checks)


def test_what_was_measured_is_told() -> None:
    report = check_stage(Contrast, {"scale": 3.0})
    assert report["tiny and blank images are no exception"].said == "5 of 10 abstained on"
    assert report["its options are documented"].said == "scale"
    assert report["a score does not depend on its neighbours"].said == "alone, together, in reverse"
    assert check_stage(Shift)["the seed is its only randomness"].said == "the seed matters"
    assert check_stage(Line)["a fit finds what is there"].said.endswith("nats above the best")
    assert check_stage(Sum)["contributions add up"].said in ("bias +0.000", "bias -0.000")
    assert check_stage(Means)["features are finite, one row a picture"].said == "6 features"


def test_the_report_is_a_line_a_check() -> None:
    lines = str(run_checks(Contrast)).splitlines()
    assert lines[0] == "detector 'contrast'"
    assert "  ✓ it says what it wants                      WholeImage" in lines
    assert lines[4].startswith("  - listing it loads no array library          it is not installed as a plugin")


def test_kinds() -> None:
    assert run_checks(Shift).kind == "preprocessor"
    assert run_checks(Contrast, kind="detector").kind == "detector"
    with pytest.raises(
        ValueError, match="kind must be one of detector, preprocessor, precondition, evidence, calibrator"
    ):
        run_checks(Contrast, kind="filter")
