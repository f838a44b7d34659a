import numpy as np
import pytest
from d2f_calibrators.isotonic import Isotonic, IsotonicOptions
from d2f_calibrators.platt import Platt, PlattOptions
from d2f_calibrators.pooling import pooled
from d2f_calibrators.targets import smoothed_targets
from d2f_calibrators.temperature import Temperature, TemperatureOptions
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression, isotonic_regression
from sklearn.linear_model import LogisticRegression

ALL = [Platt, Isotonic, Temperature]


def logistic_sample(n, slope, bias, seed=0):
    random = np.random.default_rng(seed)
    scores = random.normal(3.0, 2.0, n)
    chance = 1 / (1 + np.exp(-(slope * scores + bias)))
    return scores, (random.uniform(size=n) < chance).astype(np.int8)


@pytest.mark.parametrize(("slope", "bias"), [(1.5, -4.0), (-0.7, 2.0), (0.0, 0.0)])
def test_platt_finds_the_curve_that_the_labels_were_drawn_from(slope, bias):
    scores, labels = logistic_sample(60_000, slope, bias)
    found = Platt.fit(scores, labels, np.ones(len(scores)))
    assert found.slope == pytest.approx(slope, abs=0.05)
    assert found.bias == pytest.approx(bias, abs=0.15)


def test_platt_equals_scikit_learns_logistic_regression_where_smoothing_is_nothing():
    scores, labels = logistic_sample(40_000, 0.8, -2.0, seed=1)
    weights = np.random.default_rng(2).uniform(0.5, 1.5, len(scores))
    reference = LogisticRegression(C=np.inf, tol=1e-10).fit(scores[:, None], labels, weights)
    found = Platt.fit(scores, labels, weights)
    assert found.slope == pytest.approx(reference.coef_[0, 0], rel=2e-3)
    assert found.bias == pytest.approx(reference.intercept_[0], rel=2e-3)


def test_platt_minimises_the_cross_entropy_of_platts_targets():
    scores, labels = logistic_sample(60, 1.0, -3.0, seed=3)
    weights = np.where(labels == 1, 2.0, 1.0)
    positive, negative = (labels == 1).sum(), (labels == 0).sum()
    targets = np.where(labels == 1, (positive + 1) / (positive + 2), 1 / (negative + 2))

    def cost(parameters):
        logits = parameters[0] * scores + parameters[1]
        return (weights * (np.logaddexp(0, logits) - targets * logits)).sum()

    expected = minimize(cost, [0.0, 0.0], method="BFGS", options={"gtol": 1e-9}).x
    found = Platt.fit(scores, labels, weights)
    assert [found.slope, found.bias] == pytest.approx(expected, rel=1e-4)


def test_targets_count_weights_as_images():
    labels = np.array([1, 1, 1, 0], dtype=np.int8)
    assert smoothed_targets(labels, np.array([5.0, 5.0, 5.0, 2.0])) == pytest.approx([0.8, 0.8, 0.8, 1 / 3])


def test_platt_is_the_same_on_any_scale_of_the_score():
    scores, labels = logistic_sample(400, 1.0, -3.0, seed=4)
    weights = np.ones(len(scores))
    plain = Platt(Platt.fit(scores, labels, weights)).probability(scores)
    for factor, offset in ((1e-6, 0.0), (-1e5, 0.0), (1.0, 1e6)):
        moved = factor * scores + offset
        assert Platt(Platt.fit(moved, labels, weights)).probability(moved) == pytest.approx(plain, abs=1e-5)


@pytest.mark.parametrize("stage", ALL)
def test_classes_that_part_give_finite_parameters_and_no_certainty(stage):
    scores = np.concatenate([np.linspace(-3, -1, 30), np.linspace(1, 3, 30)])
    labels = np.repeat([0, 1], 30).astype(np.int8)
    probabilities = stage(stage.fit(scores, labels, np.ones(60))).probability(scores)
    assert probabilities[:30].max() < 0.5 < probabilities[30:].min()
    assert probabilities.min() > 1e-6
    assert probabilities.max() < 1 - 1e-6


@pytest.mark.parametrize("stage", [Platt, Isotonic])
def test_the_direction_is_found(stage):
    scores, labels = logistic_sample(2000, -1.0, 3.0, seed=5)
    low, high = stage(stage.fit(scores, labels, np.ones(2000))).probability(np.array([0.0, 6.0]))
    assert low > 0.9
    assert high < 0.1


@pytest.mark.parametrize("stage", ALL)
def test_weights_stand_for_repetition(stage):
    scores, labels = logistic_sample(200, 1.0, -3.0, seed=6)
    twice = stage.fit(np.tile(scores, 2), np.tile(labels, 2), np.ones(400))
    scaled = stage.fit(np.tile(scores, 2), np.tile(labels, 2), np.full(400, 0.123))
    assert twice == scaled


@pytest.mark.parametrize("stage", ALL)
def test_a_constant_score_says_nothing(stage):
    labels = np.tile([0, 1], 50).astype(np.int8)
    scores = np.full(100, 7.25)
    options = stage.fit(scores, labels, np.ones(100))
    if stage is not Temperature:
        assert stage(options).probability(scores) == pytest.approx(0.5)


def test_even_prior_follows_from_weights():
    scores, labels = logistic_sample(5000, 1.0, -5.0, seed=7)
    weights = np.where(labels == 1, 0.5 / (labels == 1).sum(), 0.5 / (labels == 0).sum())
    for stage in (Platt, Isotonic):
        probabilities = stage(stage.fit(scores, labels, weights)).probability(scores)
        assert np.average(probabilities, weights=weights) == pytest.approx(0.5, abs=0.01)


@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(1, 4)), min_size=1, max_size=30))
def test_pooling_equals_scikit_learns(pairs):
    values, weights = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    expected = isotonic_regression(values, sample_weight=weights)
    found = [block.value for block in pooled(values, weights) for _ in range(block.first, block.last + 1)]
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("turn", [1, -1])
def test_isotonic_equals_scikit_learns_with_the_two_dummies(turn):
    scores, labels = logistic_sample(300, 1.0, -3.0, seed=8)
    scores = np.round(scores, 1)
    ends = [scores.min() - 1, scores.max() + 1]
    reference = IsotonicRegression(out_of_bounds="clip")
    reference.fit(np.concatenate([scores, ends]), np.concatenate([labels, [1, 0]]))
    found = Isotonic(Isotonic.fit(turn * scores, labels, np.ones(300))).probability(turn * scores)
    assert found == pytest.approx(reference.predict(scores), abs=1e-5)


def test_isotonic_follows_a_curve_that_is_no_logistic():
    random = np.random.default_rng(9)
    scores = random.uniform(size=40_000)
    labels = (random.uniform(size=len(scores)) < 0.2 + 0.6 * scores**4).astype(np.int8)
    places = np.linspace(0.05, 0.95, 19)
    found = Isotonic(Isotonic.fit(scores, labels, np.ones(len(scores)))).probability(places)
    assert np.abs(found - (0.2 + 0.6 * places**4)).max() < 0.04


@pytest.mark.parametrize("scale", [0.25, 1.0, 5.0])
def test_temperature_finds_the_scale(scale):
    scores, labels = logistic_sample(60_000, 1.0, -3.0, seed=10)
    logits = scale * (scores - 3.0)
    found = Temperature.fit(logits, labels, np.ones(len(logits)))
    assert found.temperature == pytest.approx(scale, rel=0.03)


def test_temperature_cannot_turn_a_score_round():
    scores, labels = logistic_sample(500, -1.0, 3.0, seed=11)
    assert Temperature.fit(scores - 3.0, labels, np.ones(500)).temperature == 1000.0


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (PlattOptions, {"slope": float("nan")}),
        (PlattOptions, {"incline": 1.0}),
        (IsotonicOptions, {"scores": [1, 0], "probabilities": [0.1, 0.2]}),
        (IsotonicOptions, {"scores": [0, 1, 2], "probabilities": [0.1, 0.3, 0.2]}),
        (IsotonicOptions, {"scores": [0, 1], "probabilities": [0.1]}),
        (IsotonicOptions, {"scores": [0, 1], "probabilities": [0.0, 0.5]}),
        (TemperatureOptions, {"temperature": 0.0}),
    ],
)
def test_options_that_make_no_curve_are_refused(model, options):
    with pytest.raises(ValidationError):
        model(**options)
