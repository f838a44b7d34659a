"""What a fit states of its false-positive rate holds on other images of the same kind."""

from __future__ import annotations

import numpy as np
import pytest

from d2f.evaluate import fit_report
from tests.benchmarks.thresholds_hold import drawn_scores, resampled


def test_the_rate_on_held_out_images_lies_within_the_stated_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_report, "DRAWS_OF_THRESHOLDS", 100)
    labels, scores = drawn_scores()
    random = np.random.default_rng(5)
    found = [resampled(labels, scores, random) for _ in range(12)]
    assert sum(stated.low <= rate <= stated.high for stated, rate in found) >= 11
    # It is no wide net: the rate that was asked for is .05.
    assert np.median([stated.high for stated, _ in found]) < 0.16
