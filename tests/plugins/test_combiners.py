import numpy as np
import pytest
from d2f_combiners.logistic import Logistic, LogisticOptions
from d2f_combiners.logit_mean import LogitMean
from d2f_combiners.maximum import Maximum
from d2f_combiners.noisy_or import NoisyOr, NoisyOrOptions
from d2f_combiners.penalised import fit_penalised
from d2f_combiners.unfitted import NoOptions
from d2f_combiners.vote import Vote
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from d2f import D2FError

NAN = float("nan")
MEMBERS = ("a/plain", "b/plain", "c/plain")
LOGISTIC = LogisticOptions(
    weights=dict(zip(MEMBERS, (0.8, -0.3, 0.4), strict=True)), absent={"b/plain": 0.7, "c/plain": -0.2}, bias=0.1
)
UNFITTED = [(LogitMean, NoOptions()), (Vote, NoOptions()), (Maximum, NoOptions()), (NoisyOr, NoisyOrOptions())]
ALL = [*UNFITTED, (NoisyOr, NoisyOrOptions(leak=0.2)), (Logistic, LOGISTIC)]

member = st.one_of(st.just(NAN), st.floats(0, 1))
tables = st.lists(st.tuples(member, member, member).filter(lambda row: not np.isnan(row).all()), min_size=1, max_size=8)


def combined(stage, options, *rows):
    return stage(options, MEMBERS).combine(np.array(rows, dtype=float))


def test_logit_mean_by_hand():
    found = combined(LogitMean, NoOptions(), (0.9, 0.5, NAN), (0.2, 0.2, 0.2))
    assert found.llr == pytest.approx([np.log(9) / 2, -np.log(4)])
    assert found.contributions[0] == pytest.approx([np.log(9) / 2, 0, 0])


def test_vote_by_hand():
    found = combined(Vote, NoOptions(), (0.9, 0.6, 0.4), (0.9, 0.1, NAN), (0.5, 0.5, 0.7))
    assert found.llr == pytest.approx([np.log(3 / 2), 0, np.log(2)])
    assert found.contributions[0] == pytest.approx(np.log(1.5) * np.array([1, 1, -1]))
    assert found.contributions[1].tolist() == [0, 0, 0]


def test_max_by_hand():
    found = combined(Maximum, NoOptions(), (0.2, 0.8, NAN), (NAN, 0.1, 0.1))
    assert found.llr == pytest.approx([np.log(4), -np.log(9)])
    assert found.contributions[1] == pytest.approx([0, -np.log(9), 0])


@pytest.mark.parametrize("leak", [0.0, 0.3])
def test_noisy_or_by_hand(leak):
    found = combined(NoisyOr, NoisyOrOptions(leak=leak), (0.2, 0.5, NAN), (0.01, 0.02, 0.03))
    expected = [1 - (1 - leak) * 0.8 * 0.5, 1 - (1 - leak) * 0.99 * 0.98 * 0.97]
    assert expit(found.llr) == pytest.approx(expected)


def test_noisy_ors_contributions_point_where_the_members_do():
    (first, second, _), (a, b, _) = combined(NoisyOr, NoisyOrOptions(), (0.9, 0.05, NAN), (0.5, 0.0, NAN)).contributions
    assert first > 0 > second
    assert a + b == pytest.approx(0, abs=1e-3)


def test_logistic_by_hand():
    found = combined(Logistic, LOGISTIC, (0.9, 0.8, 0.3), (0.9, NAN, NAN))
    ratios = [np.log(9), np.log(4), np.log(3 / 7)]
    assert found.llr[0] == pytest.approx(0.1 + 0.8 * ratios[0] - 0.3 * ratios[1] + 0.4 * ratios[2])
    assert found.llr[1] == pytest.approx(0.1 + 0.8 * ratios[0] + 0.7 - 0.2)
    assert found.contributions[1] == pytest.approx([0.8 * ratios[0], 0, 0])


@pytest.mark.parametrize(("stage", "options"), ALL)
@given(rows=tables)
def test_ratios_are_finite_and_absent_members_contribute_nothing(stage, options, rows):
    probabilities = np.array(rows)
    found = stage(options, MEMBERS).combine(probabilities)
    assert found.llr.shape == (len(rows),)
    assert found.contributions.shape == probabilities.shape
    assert np.isfinite(found.llr).all()
    assert np.isfinite(found.contributions).all()
    assert (found.contributions[np.isnan(probabilities)] == 0).all()


@pytest.mark.parametrize(("stage", "options"), [*UNFITTED[:3], (NoisyOr, NoisyOrOptions())])
@given(rows=tables)
def test_contributions_of_unfitted_combiners_add_up_to_the_ratio(stage, options, rows):
    found = stage(options, MEMBERS).combine(np.array(rows))
    assert found.contributions.sum(axis=1) == pytest.approx(found.llr, abs=1e-6)


@pytest.mark.parametrize(("stage", "options"), ALL)
def test_a_row_does_not_depend_on_the_others(stage, options):
    rows = np.random.default_rng(1).uniform(size=(20, 3))
    combiner = stage(options, MEMBERS)
    together = combiner.combine(rows).llr
    assert np.array_equal(together, [combiner.combine(row[None]).llr[0] for row in rows])


@pytest.mark.parametrize(("stage", "options"), UNFITTED)
def test_there_is_nothing_to_fit(stage, options):
    assert stage.fit(options, MEMBERS, np.full((2, 3), 0.5), np.array([0, 1]), np.ones(2)) is options


def simulated(n, truth, seed=0):
    """Probabilities whose logits are drawn, and labels drawn from a known fusion of them."""
    random = np.random.default_rng(seed)
    ratios = random.normal(0, 1.5, (n, len(truth)))
    labels = (random.uniform(size=n) < expit(ratios @ truth)).astype(np.int8)
    return expit(ratios), labels


def test_fusion_finds_the_weights_that_the_labels_were_drawn_from_and_turns_an_inverted_member():
    truth = np.array([0.9, -0.5, 0.2])
    probabilities, labels = simulated(60_000, truth)
    options = Logistic.fit(LogisticOptions(penalty=1e-6), MEMBERS, probabilities, labels, np.ones(len(labels)))
    assert list(options.weights.values()) == pytest.approx(truth, abs=0.03)
    assert options.bias == pytest.approx(0, abs=0.03)
    assert options.absent == {}


def test_equal_to_scikit_learns_ridge_towards_zero():
    random = np.random.default_rng(2)
    columns, weights = random.normal(size=(300, 4)), random.uniform(0.5, 2, 300)
    labels = (random.uniform(size=300) < expit(columns @ [1, -1, 0.5, 0] + 0.3)).astype(np.int8)
    penalty = 0.05
    reference = LogisticRegression(C=1 / (penalty * weights.sum()), tol=1e-10, max_iter=1000)
    reference.fit(columns, labels, weights)
    bias, *found = fit_penalised(columns, labels, weights, np.zeros(4), penalty)
    assert found == pytest.approx(reference.coef_[0], abs=1e-5)
    assert bias == pytest.approx(reference.intercept_[0], abs=1e-5)


def test_the_penalty_pulls_towards_the_mean_of_all_logits():
    probabilities, labels = simulated(50, np.array([1.0, -1.0, 0.0]), seed=3)
    options = Logistic.fit(LogisticOptions(penalty=1e4), MEMBERS, probabilities, labels, np.ones(50))
    assert list(options.weights.values()) == pytest.approx([1 / 3] * 3, abs=1e-3)


def test_the_minimum_is_the_stated_costs():
    probabilities, labels = simulated(80, np.array([1.0, 0.4, 0.0]), seed=4)
    weights = np.random.default_rng(5).uniform(0.1, 1, 80)
    ratios, sign = logit(probabilities), 2 * labels - 1

    def cost(point):
        losses = np.logaddexp(0, -sign * (point[0] + ratios @ point[1:]))
        return (weights * losses).sum() / weights.sum() + 0.02 / 2 * ((point[1:] - 1 / 3) ** 2).sum()

    expected = minimize(cost, np.zeros(4), method="BFGS", options={"gtol": 1e-9}).x
    options = Logistic.fit(LogisticOptions(penalty=0.02), MEMBERS, probabilities, labels, weights)
    assert [options.bias, *options.weights.values()] == pytest.approx(expected, abs=1e-5)


def test_silence_that_tells_the_label_gets_its_own_offset():
    random = np.random.default_rng(6)
    labels = np.repeat([0, 1], 2000).astype(np.int8)
    probabilities = expit(random.normal(0, 1, (4000, 3)) + (labels * 2.0 - 1)[:, None])
    silent = random.uniform(size=4000) < np.where(labels == 1, 0.6, 0.1)
    probabilities[silent, 1] = NAN
    options = Logistic.fit(LogisticOptions(penalty=1e-5), MEMBERS, probabilities, labels, np.ones(4000))
    assert set(options.absent) == {"b/plain"}
    assert options.absent["b/plain"] > 0.5
    better = Logistic(options, MEMBERS).combine(probabilities).llr
    deaf = Logistic(options.model_copy(update={"absent": {}}), MEMBERS).combine(probabilities).llr
    assert np.logaddexp(0, -(2 * labels - 1) * better).mean() < np.logaddexp(0, -(2 * labels - 1) * deaf).mean()


def test_a_member_that_is_always_absent_does_no_harm():
    probabilities, labels = simulated(500, np.array([1.0, 0.0, 0.0]), seed=7)
    probabilities[:, 2] = NAN
    options = Logistic.fit(LogisticOptions(), MEMBERS, probabilities, labels, np.ones(500))
    assert options.absent == {}
    assert np.isfinite(Logistic(options, MEMBERS).combine(probabilities).llr).all()


def test_the_fit_does_not_depend_on_the_order_of_images():
    probabilities, labels = simulated(400, np.array([1.0, -0.5, 0.2]), seed=8)
    order = np.random.default_rng(9).permutation(400)
    one = Logistic.fit(LogisticOptions(), MEMBERS, probabilities, labels, np.ones(400))
    assert Logistic.fit(LogisticOptions(), MEMBERS, probabilities[order], labels[order], np.ones(400)) == one


@pytest.mark.parametrize(
    ("weights", "code"),
    [
        ({}, "D2F127"),
        ({"a/plain": 1.0, "b/plain": 1.0}, "D2F122"),
        (dict.fromkeys((*MEMBERS, "d/plain"), 1.0), "D2F122"),
    ],
)
def test_weights_must_be_those_of_the_chains_members(weights, code):
    with pytest.raises(D2FError) as error:
        Logistic(LogisticOptions(weights=weights), MEMBERS)
    assert error.value.problems[0].code == code
