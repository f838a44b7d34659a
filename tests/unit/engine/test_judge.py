"""From scores to verdicts, by hand and against SciPy; one row and a table by the same arithmetic."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit, logit

from d2f import Abstention, Combination, D2FError, Failure, Member, Row, StageFinished
from d2f.engine import findings
from d2f.engine.findings import clipped
from d2f.engine.judge import Judge
from d2f.engine.plan import Decision, Plan, Scored

from .toys import Returns, Sigmoid, SumOfLogits, Whole, plan_of

MEMBERS = {"a": (Whole(), ["plain", "v"]), "b": (Whole(), ["plain"])}
SLOPES = {"a/plain": 1.0, "a/v": -0.5, "b/plain": 2.0}


def plan(**changes: Any) -> Plan:
    calibrators = {name: Sigmoid(slope) for name, slope in SLOPES.items()}
    return plan_of(MEMBERS, {"v": ()}, Decision(**{"calibrators": calibrators, "combiner": SumOfLogits(), **changes}))


def scored(*scores: float | Failure | Abstention | None, path: str = "x.jpg") -> Scored:
    names = [("a", "plain"), ("a", "v"), ("b", "plain")]
    members = []
    for (detector, view), score in zip(names, scores, strict=True):
        if isinstance(score, Failure):
            members.append(Member(detector, view, error=score))
        elif score is None:
            members.append(Member(detector, view, abstained="nothing to say"))
        else:
            members.append(Member(detector, view, score))  # type: ignore[arg-type]
    return Scored(path, "ab" * 32, 640, 480, "JPEG", tuple(members))


def test_row_by_hand() -> None:
    row = Judge(plan()).row(scored(1.0, 2.0, 0.3))
    assert row == Row(
        path="x.jpg",
        sha256="ab" * 32,
        width=640,
        height=480,
        format="JPEG",
        probability=0.6457,  # 1 / (1 + exp(-0.6))
        verdict="inconclusive",
        disagreements=("a: plain generated, v real",),
        llr=0.6,
        stages=(
            Member("a", "plain", 1.0, 0.7311, 1.0),
            Member("a", "v", 2.0, 0.2689, -1.0),
            Member("b", "plain", 0.3, 0.6457, 0.6),
        ),
        chain="toy",
        chain_digest="digest",
    )


def test_prior_enters_once() -> None:
    even = Judge(plan()).row(scored(1.0, 0.5, 0.2))
    rare = Judge(plan(prior=0.01)).row(scored(1.0, 0.5, 0.2))
    assert rare.llr == even.llr
    assert rare.stages == even.stages
    assert rare.probability == pytest.approx(expit(1.0 - 0.25 + 0.4 + logit(0.01)), abs=5e-5)


def test_chain_calibrator_takes_the_ratio_as_a_score() -> None:
    row = Judge(plan(chain_calibrator=Sigmoid(0.5), prior=0.2)).row(scored(1.0, 2.0, 1.0))
    assert row.llr == 1.0  # half of 1 - 1 + 2
    assert row.probability == pytest.approx(expit(1.0 + logit(0.2)), abs=5e-5)
    assert [member.contribution for member in row.stages] == [1.0, -1.0, 2.0]


def test_members_are_kept_from_certainty() -> None:
    row = Judge(plan()).row(scored(1000.0, None, None))
    assert row.llr == pytest.approx(logit(1 - 1e-6), abs=5e-5)
    assert row.stages[0].probability == 1.0
    assert row.probability == 1.0


@pytest.mark.parametrize(
    ("score", "verdict"),
    [
        (logit(0.65004), "inconclusive"),
        (logit(0.65006), "generated"),
        (logit(0.64996), "inconclusive"),
        (logit(0.35), "inconclusive"),
        (logit(0.34996), "inconclusive"),
        (logit(0.34994), "real"),
        (-300.0, "real"),
    ],
)
def test_thresholds_are_met_by_the_rounded_probability(score: float, verdict: str) -> None:
    assert Judge(plan()).row(scored(score, None, None)).verdict == verdict


@pytest.mark.parametrize(("need", "verdict"), [(1, "generated"), (2, "generated"), (3, "inconclusive")])
def test_too_few_members(need: int, verdict: str) -> None:
    row = Judge(plan(need=need)).row(scored(3.0, None, 2.0))
    assert row.verdict == verdict
    assert row.error is None
    assert (row.probability is None) == (row.llr is None) == (verdict == "inconclusive")
    assert row.stages[0].probability == 0.9526
    assert row.stages[0].contribution == (None if verdict == "inconclusive" else 3.0)
    assert row.stages[1] == Member("a", "v", abstained="nothing to say")


def test_all_members_failed_is_inconclusive_and_the_errors_are_seen() -> None:
    failure = Failure("D2F401", "RuntimeError: dark")
    row = Judge(plan()).row(scored(failure, failure, failure))
    assert (row.verdict, row.probability, row.llr, row.error) == ("inconclusive", None, None, None)
    assert [member.error for member in row.stages] == [failure] * 3


def test_members_without_a_calibrator_have_no_probability() -> None:
    row = Judge(plan(calibrators={"b/plain": Sigmoid()})).row(scored(3.0, 2.0, 1.0))
    assert [member.probability for member in row.stages] == [None, None, 0.7311]
    assert row.llr == 1.0


def test_file_that_was_not_read() -> None:
    failure = Failure("D2F304", "truncated")
    row = Judge(plan()).row(Scored("x.jpg", "ab", None, None, "JPEG", (), failure))
    assert row == Row("x.jpg", "ab", format="JPEG", chain="toy", chain_digest="digest", error=failure)


@pytest.mark.parametrize("value", [math.nan, -0.01, 1.01, math.inf, "x"])
def test_calibrator_that_gives_no_probability_costs_its_member(value: Any) -> None:
    calibrators = {"a/plain": Returns(lambda s: [value] * len(s)), "b/plain": Sigmoid()}
    row = Judge(plan(calibrators=calibrators)).row(scored(1.0, None, 1.0))
    assert row.stages[0].error is not None
    assert row.stages[0].error.code == "D2F406"
    assert row.stages[0].score == 1.0
    assert row.stages[0].probability is None
    assert (row.llr, row.error) == (1.0, None)


def test_calibrator_of_the_wrong_length_or_that_raises() -> None:
    for function in (lambda s: s[:0], lambda s: 1 / 0):
        row = Judge(plan(calibrators={"a/plain": Returns(function)})).row(scored(1.0, None, None))
        assert row.stages[0].error is not None
        assert row.stages[0].error.code == "D2F406"
        assert row.verdict == "inconclusive"


@pytest.mark.parametrize(
    "function",
    [
        lambda p: 1 / 0,
        lambda p: Combination(np.full(len(p), np.nan), p),
        lambda p: Combination(np.zeros(len(p) + 1), p),
        lambda p: Combination(np.zeros(len(p)), p[:, :1]),
        lambda p: Combination(np.zeros(len(p)), p * np.inf),
        lambda p: None,
    ],
)
def test_combiner_that_fails_is_the_images_error(function: Any) -> None:
    judge = Judge(plan(combiner=Returns(function)))
    row = judge.row(scored(1.0, None, None))
    assert row.error is not None
    assert row.error.code == "D2F407"
    assert (row.probability, row.verdict, row.llr) == (None, None, None)
    with pytest.raises(D2FError, match="D2F407"):
        judge.probabilities(np.ones((4, 3)))


def test_chains_own_calibrator_that_fails() -> None:
    row = Judge(plan(chain_calibrator=Returns(lambda s: s + 9))).row(scored(1.0, None, None))
    assert row.error is not None
    assert row.error.code == "D2F406"


def test_plan_without_a_decision() -> None:
    with pytest.raises(D2FError, match="D2F127"):
        Judge(plan_of(MEMBERS, {"v": ()}))


def test_disagreements_need_both_sides() -> None:
    judge = Judge(plan())
    assert judge.row(scored(2.0, -2.0, 1.0)).disagreements == ()
    assert judge.row(scored(0.1, 3.0, -2.0)).disagreements == ()
    assert judge.row(scored(-2.0, -3.0, 2.0)).disagreements == ("a: plain real, v generated",)
    assert Judge(plan(generated_above=0.95)).row(scored(2.0, 2.0, 1.0)).disagreements == ()


def test_rows_are_plain_json() -> None:
    row = Judge(plan()).row(scored(-0.00001, None, None))
    assert row.llr == 0.0
    assert math.copysign(1, row.llr) == 1.0
    json.dumps(row.to_dict(), allow_nan=False)


def table(seed: int, rows: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 2, (rows, 3))
    scores[rng.random((rows, 3)) < 0.3] = np.nan
    return scores


def test_table_against_scipy() -> None:
    scores = table(0, 500)
    judged = Judge(plan(prior=0.3, need=2)).probabilities(scores)
    members = np.clip(expit(scores * list(SLOPES.values())), 1e-6, 1 - 1e-6)
    enough = np.isfinite(scores).sum(axis=1) >= 2
    llr = np.where(enough, np.nansum(logit(members), axis=1), np.nan)
    np.testing.assert_allclose(judged.member_probabilities, members, rtol=1e-12)
    np.testing.assert_allclose(judged.llr, llr, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(judged.contributions[enough], logit(members)[enough], rtol=1e-9, atol=1e-12)
    assert np.isnan(judged.contributions[~enough]).all()
    np.testing.assert_allclose(judged.probability, expit(llr + logit(0.3)), atol=5.1e-5)
    assert not judged.miscalibrated.any()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 70))
def test_one_row_and_a_table_agree_bit_for_bit(seed: int, rows: int) -> None:
    judge = Judge(plan(chain_calibrator=Sigmoid(0.8), prior=0.1))
    scores = table(seed, rows)
    together = judge.probabilities(scores)
    for index in range(rows):
        alone = judge.probabilities(scores[index : index + 1])
        for name in ("member_probabilities", "llr", "contributions", "probability"):
            np.testing.assert_array_equal(getattr(alone, name)[0], getattr(together, name)[index], name)
        values = [None if math.isnan(score) else score for score in scores[index]]
        row = judge.row(scored(*values))
        expected = together.probability[index]
        assert row.probability == (None if math.isnan(expected) else expected)


def test_empty_table() -> None:
    judged = Judge(plan()).probabilities(np.empty((0, 3)))
    assert judged.probability.shape == (0,)


def test_observer_is_told_of_combinations() -> None:
    events: list[StageFinished] = []
    Judge(plan(), events.append).row(scored(1.0, None, None))
    assert [(event.kind, event.images) for event in events] == [("combiner", 1)]


class CannotLoad(SumOfLogits):
    def load(self) -> None:
        raise OSError("no such table")


def test_a_combiner_that_cannot_be_loaded_is_a_broken_plugin() -> None:
    with pytest.raises(D2FError, match="the combiner could not be loaded") as caught:
        Judge(plan(combiner=CannotLoad()))
    assert caught.value.exit == 3
    assert "OSError: no such table" in str(caught.value)


class Exits(SumOfLogits):
    def combine(self, probabilities: NDArray[np.float64]) -> Combination:
        raise SystemExit(2)


def test_a_combiner_that_exits_costs_the_row_only() -> None:
    row = Judge(plan(combiner=Exits())).row(scored(1.0, 1.0, 1.0))
    assert row.error == Failure("D2F407", "the combiner raised SystemExit: 2")


# Log-odds against SciPy.


def test_logit_and_expit() -> None:
    probabilities = np.concatenate([np.geomspace(1e-6, 0.5, 200), 1 - np.geomspace(1e-6, 0.5, 200)])
    np.testing.assert_allclose(findings.logit(probabilities), logit(probabilities), rtol=1e-9, atol=1e-12)
    ratios = np.concatenate([np.linspace(-800, 800, 999), [0.0, np.nan]])
    np.testing.assert_allclose(findings.expit(ratios), expit(ratios), rtol=1e-13, atol=1e-300)
    np.testing.assert_allclose(findings.expit(findings.logit(probabilities)), probabilities, rtol=1e-12)


def test_clipping_keeps_nan() -> None:
    np.testing.assert_array_equal(clipped(np.array([0.0, 0.5, 1.0, np.nan])), [1e-6, 0.5, 1 - 1e-6, np.nan])
