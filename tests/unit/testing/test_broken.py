"""Each way to break the contract is told in plain words, by the check that is meant for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from d2f.testing import check_stage, run_checks
from d2f.testing.kit import CHECKS
from tests.unit.testing.broken import BROKEN, Divides, Hoards, Unstopped
from tests.unit.testing.stages import Contrast


@pytest.fixture(autouse=True)
def _undisturbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("D2F_TEST_OF_TESTING", "")
    yield
    os.chdir(tmp_path)


@pytest.mark.parametrize(("stage", "check", "words"), BROKEN, ids=[stage.__name__ for stage, _, _ in BROKEN])
def test_it_is_told(stage: type, check: str, words: str) -> None:
    report = run_checks(stage)
    result = report[check]
    assert result.state == "failed"
    assert result.next_step
    assert words in "\n".join(result.lines())
    with pytest.raises(AssertionError, match=f"{report.kind} '{report.name}' .* fails"):
        check_stage(stage)


def test_every_check_that_can_fail_is_made_to() -> None:
    proved = {check for _, check, _ in BROKEN}
    elsewhere = {
        "its weights are recorded",
        "it refuses weights that do not fit",
        "it says what its weights were trained on",
        "listing it loads no array library",
        "what it requires is installed",
        "options survive a chain file",
        "an image's cost is bounded",
        "a fit survives a chain file",
        "the same scores give the same fit",
        "build() makes a fresh network",
    }
    names = {check.name for checks in CHECKS.values() for check in checks}
    assert names - proved - elsewhere == set()


def test_all_that_fails_is_in_one_error() -> None:
    class Both(Divides, Hoards):
        summary = Unstopped.summary

        def one(self, pixels: object) -> object:
            self.seen.append(pixels.copy())  # type: ignore[attr-defined]
            return super().one(pixels)

    with pytest.raises(AssertionError) as caught:
        check_stage(Both)
    text = str(caught.value)
    assert text.splitlines()[0].startswith("detector 'contrast' (tests.unit.testing.test_broken.test_all")
    assert text.count("✗") == 3
    assert text.count("    next: ") == 3
    assert "passed: it has what its kind needs; its options are documented; " in text


def test_the_author_s_own_line_is_named() -> None:
    told = "\n".join(run_checks(Divides)["tiny and blank images are no exception"].found)
    assert "it raised ZeroDivisionError: division by zero   at tests/unit/testing/broken.py:" in told


def test_tolerance() -> None:
    class Rounding(Contrast):
        def score(self, batch: object) -> object:
            return [float(pixels.std()) + 1e-6 * len(batch) for pixels in batch]  # type: ignore[arg-type,attr-defined]

    assert run_checks(Rounding)["a score does not depend on its neighbours"].state == "failed"
    check_stage(Rounding, tolerance=1e-4)
