"""Figures on many draws against d2f.metrics, scikit-learn, and by hand."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from d2f.evaluate.bench_figures import FIGURES, Draws, figures, holm, p_value
from d2f.evaluate.bench_systems import Subject, verdicts_of
from d2f.metrics import cluster_bootstrap, expected_calibration_error, roc_auc, true_positive_rate_at
from d2f.metrics import log_likelihood_ratio_cost as cllr
from d2f.metrics import weighted as drawn


@pytest.fixture(scope="module")
def sample():
    random = np.random.default_rng(3)
    labels = (random.random(400) < 0.4).astype(np.int8)
    values = np.round(random.normal(2 * labels - 1.0, 2), 1)
    return labels, values, Draws(np.arange(400) // 7, labels, 40)


def test_ranking_against_scikit_learn(sample):
    labels, values, draws = sample
    ranked = drawn.Ranked(labels, values, draws.weights)
    for row in (0, 1, 17):
        weights = draws.weights[row]
        assert ranked.auc()[row] == pytest.approx(roc_auc_score(labels, values, sample_weight=weights))
        expected = average_precision_score(labels, values, sample_weight=weights)
        assert ranked.average_precision()[row] == pytest.approx(expected)
        expected = true_positive_rate_at(labels, values, 0.05, weights)
        assert ranked.true_positive_rate_at(0.05)[row] == pytest.approx(expected)


def test_calibration_against_scikit_learn_and_measure(sample):
    labels, values, draws = sample
    for row in (0, 5):
        weights = draws.weights[row]
        even = weights / np.where(labels == 1, 2 * weights[labels == 1].sum(), 2 * weights[labels == 0].sum())
        found = drawn.brier(labels, expit(values), draws.weights)[row]
        assert found == pytest.approx(brier_score_loss(labels, expit(values), sample_weight=even))
        found = drawn.expected_calibration_error(labels, expit(values), draws.weights)[row]
        assert found == pytest.approx(expected_calibration_error(labels, expit(values), even))
        found = drawn.log_likelihood_ratio_cost(labels, values, draws.weights)[row]
        assert found == pytest.approx(cllr(labels, values, weights))


def test_intervals_are_those_of_the_cluster_bootstrap(sample):
    labels, values, _ = sample
    components = np.arange(400) // 7
    expected = cluster_bootstrap(lambda index: roc_auc(labels[index], values[index]), components, labels, 100)
    draws = Draws(components, labels, 100)
    found = draws.interval(drawn.Ranked(labels, values, draws.weights).auc())
    assert found == pytest.approx(expected)


def test_verdict_figures_by_hand():
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1], dtype=np.int8)
    clean = np.array([0.1, 0.5, 0.9, 0.2, 0.9, 0.8, 0.5, 0.1])
    attacked = np.array([0.9, 0.9, 0.9, 0.5, 0.5, 0.8, 0.9, 0.2])
    probability = np.stack([clean, attacked], axis=1)
    subject = Subject("x", "chain", np.log(probability / (1 - probability)), verdicts_of(probability, 0.3, 0.7))
    one = {name: found[0] for name, found in figures(subject, labels, np.ones((1, 8)), 1).items()}
    assert set(one) == set(FIGURES)
    # Two generated were called so clean; one of them is inconclusive now. Two photographs are newly called generated.
    assert (one["evasion"], one["new_false_alarms"]) == (0.25, 0.5)
    assert (one["true_positive"], one["false_positive"]) == (0.5, 0.75)
    assert (one["true_negative"], one["miss"], one["inconclusive"]) == (0.0, 0.25, 0.25)
    assert one["precision_generated"] == pytest.approx(0.5 / 1.25)
    assert one["precision_real"] == 0.0
    assert one["balanced_accuracy_verdicts"] == 0.25
    assert one["balanced_accuracy"] == pytest.approx(0.375)
    assert np.isnan(figures(subject, labels, np.ones((1, 8)), 0)["evasion"][0])


def test_precision_weighs_classes_evenly_whatever_their_numbers():
    labels = np.repeat([0, 1], [90, 10]).astype(np.int8)
    called = np.concatenate([np.repeat([0.9, 0.1], [9, 81]), np.repeat([0.9, 0.1], [9, 1])])[:, None]
    subject = Subject("x", "chain", np.log(called / (1 - called)), verdicts_of(called, 0.3, 0.7))
    found = figures(subject, labels, np.ones((1, 100)))
    assert found["precision_generated"][0] == pytest.approx(0.9)
    assert found["precision_real"][0] == pytest.approx(0.9)


def test_images_without_a_verdict_are_inconclusive_and_rank_even():
    labels = np.array([0, 1, 1], dtype=np.int8)
    subject = Subject("x", "chain", np.array([[-1.0], [1.0], [np.nan]]), np.array([[-1], [1], [0]], dtype=np.int8))
    found = figures(subject, labels, np.ones((1, 3)))
    assert found["inconclusive"][0] == pytest.approx(1 / 3)
    assert found["auc"][0] == 1.0


def test_raw_scores_that_are_missing_are_left_out_and_are_not_called_calibrated():
    labels = np.array([0, 0, 1, 1], dtype=np.int8)
    subject = Subject("x", "peer", np.array([[-50.0], [-10.0], [-5.0], [np.nan]]), None, calibrated=False)
    found = figures(subject, labels, np.ones((1, 4)))
    assert (found["auc"][0], found["tpr_at_5"][0]) == (1.0, 1.0)
    assert np.isnan(
        [found[name][0] for name in ("ece", "brier", "evasion", "true_positive", "balanced_accuracy")]
    ).all()


def test_one_component_has_no_interval():
    labels = np.array([0, 1, 0, 1], dtype=np.int8)
    draws = Draws(np.zeros(4, dtype=np.int64), labels, 20)
    found = draws.interval(drawn.Ranked(labels, np.arange(4.0), draws.weights).auc())
    assert found.value == 0.75
    assert np.isnan(found.low)


def test_holm_by_hand_and_nan_is_not_counted():
    # 0.01 * 3; max(0.03, 0.03 * 2); max(0.06, 0.04 * 1)
    assert holm([0.04, 0.01, float("nan"), 0.03])[:2] == [0.06, 0.03]
    assert np.isnan(holm([0.04, float("nan")])[1])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_p_values_by_hand():
    assert p_value(np.array([0.1, *[0.1] * 99])) == pytest.approx(2 / 100)
    assert p_value(np.array([0.0, *[0.1] * 50, *[-0.1] * 49])) == pytest.approx(1.0)
