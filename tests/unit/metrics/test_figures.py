"""Every figure on many rows of weights, against scikit-learn and by hand."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from d2f.metrics import (
    Draws,
    Ranked,
    brier,
    cluster_bootstrap,
    expected_calibration_error,
    log_likelihood_ratio_cost,
    roc_auc,
    true_positive_rate_at,
)
from d2f.metrics.figures import FIGURES, figures, too_few, verdicts_of
from d2f.metrics.intervals import holm, p_value


@pytest.fixture(scope="module")
def sample():
    random = np.random.default_rng(3)
    labels = (random.random(400) < 0.4).astype(np.int8)
    values = np.round(random.normal(2 * labels - 1.0, 2), 1)
    return labels, values, Draws(np.arange(400) // 7, labels, 40)


def test_ranking_against_scikit_learn(sample):
    labels, values, draws = sample
    ranked = Ranked(labels, values, draws.weights)
    for row in (0, 1, 17):
        weights = draws.weights[row]
        assert ranked.auc()[row] == pytest.approx(roc_auc_score(labels, values, sample_weight=weights))
        expected = average_precision_score(labels, values, sample_weight=weights)
        assert ranked.average_precision()[row] == pytest.approx(expected)
        expected = true_positive_rate_at(labels, values, 0.05, weights)
        assert ranked.true_positive_rate_at(0.05)[row] == pytest.approx(expected)


def test_many_rows_of_weights_are_as_many_calls_with_one(sample):
    labels, values, draws = sample
    probability = expit(values)
    rows = brier(labels, probability, draws.weights)
    assert rows.shape == (41,)
    assert rows[5] == pytest.approx(brier_score_loss(labels, probability, sample_weight=draws.weights[5]))
    for figure, given in (
        (brier, probability),
        (expected_calibration_error, probability),
        (log_likelihood_ratio_cost, values),
        (roc_auc, values),
    ):
        found = figure(labels, given, draws.weights)
        assert found == pytest.approx([figure(labels, given, row) for row in draws.weights])
        assert isinstance(figure(labels, given, draws.weights[0]), float)


def test_calibration_figures_weigh_both_labels_the_same(sample):
    labels, values, draws = sample
    found = figures(labels, values, None, draws.weights)
    for row in (0, 5):
        weights = draws.weights[row]
        even = weights / np.where(labels == 1, 2 * weights[labels == 1].sum(), 2 * weights[labels == 0].sum())
        assert found["brier"][row] == pytest.approx(brier_score_loss(labels, expit(values), sample_weight=even))
        assert found["ece"][row] == pytest.approx(expected_calibration_error(labels, expit(values), even))
        assert found["cllr"][row] == pytest.approx(log_likelihood_ratio_cost(labels, values, weights))


def test_intervals_are_those_of_the_cluster_bootstrap(sample):
    labels, values, _ = sample
    components = np.arange(400) // 7
    expected = cluster_bootstrap(lambda index: roc_auc(labels[index], values[index]), components, labels, 100)
    draws = Draws(components, labels, 100)
    found = draws.interval(Ranked(labels, values, draws.weights).auc())
    assert found == pytest.approx(expected)


def test_verdict_figures_by_hand():
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1], dtype=np.int8)
    clean = np.array([0.1, 0.5, 0.9, 0.2, 0.9, 0.8, 0.5, 0.1])
    attacked = np.array([0.9, 0.9, 0.9, 0.5, 0.5, 0.8, 0.9, 0.2])
    probability = np.stack([clean, attacked], axis=1)
    values, verdicts = np.log(probability / (1 - probability)), verdicts_of(probability, 0.3, 0.7)
    found = figures(labels, values[:, 1], verdicts[:, 1], np.ones((1, 8)), clean=verdicts[:, 0])
    one = {name: values[0] for name, values in found.items()}
    assert set(one) == set(FIGURES)
    # Two generated were called so clean; one of them is inconclusive now. Two photographs are newly called generated.
    assert (one["evasion"], one["new_false_alarms"]) == (0.25, 0.5)
    assert (one["true_positive"], one["false_positive"]) == (0.5, 0.75)
    assert (one["true_negative"], one["miss"], one["inconclusive"]) == (0.0, 0.25, 0.25)
    assert one["precision_generated"] == pytest.approx(0.5 / 1.25)
    assert one["precision_real"] == 0.0
    assert one["balanced_accuracy_verdicts"] == 0.25
    assert one["balanced_accuracy"] == pytest.approx(0.375)
    assert np.isnan(figures(labels, values[:, 0], verdicts[:, 0], np.ones((1, 8)))["evasion"][0])


def test_precision_weighs_classes_evenly_whatever_their_numbers():
    labels = np.repeat([0, 1], [90, 10]).astype(np.int8)
    called = np.concatenate([np.repeat([0.9, 0.1], [9, 81]), np.repeat([0.9, 0.1], [9, 1])])
    found = figures(labels, np.log(called / (1 - called)), verdicts_of(called, 0.3, 0.7), np.ones((1, 100)))
    assert found["precision_generated"][0] == pytest.approx(0.9)
    assert found["precision_real"][0] == pytest.approx(0.9)


def test_images_without_a_verdict_are_inconclusive_and_rank_even():
    labels = np.array([0, 1, 1], dtype=np.int8)
    verdicts = np.array([-1, 1, 0], dtype=np.int8)
    found = figures(labels, np.array([-1.0, 1.0, np.nan]), verdicts, np.ones((1, 3)))
    assert found["inconclusive"][0] == pytest.approx(1 / 3)
    assert found["auc"][0] == 1.0


def test_a_refused_image_counts_as_a_ratio_of_zero_and_inconclusive_in_every_figure():
    random = np.random.default_rng(8)
    labels = (np.arange(600) % 2).astype(np.int8)
    llr = random.normal(2.0 * labels - 1, 1.5)
    refused = random.random(600) < 0.2
    verdicts = np.where(refused, 0, verdicts_of(expit(llr), 0.3, 0.7)).astype(np.int8)
    weights = random.uniform(0.5, 2.0, (3, 600))
    clean = verdicts_of(expit(llr), 0.3, 0.7)
    aspect = random.uniform(0.7, 1.5, 600)
    missing = figures(labels, np.where(refused, np.nan, llr), verdicts, weights, clean, aspect=aspect)
    zero = figures(labels, np.where(refused, 0.0, llr), verdicts, weights, clean, aspect=aspect)
    for name in FIGURES:
        assert np.isfinite(missing[name]).all(), name
        np.testing.assert_array_equal(missing[name], zero[name])
    whole = figures(labels, llr, clean, weights, clean)
    assert (missing["inconclusive"] > whole["inconclusive"]).all()
    assert (missing["evasion"] > 0).all()
    assert (missing["auc"] < whole["auc"]).all()


def test_raw_scores_that_are_missing_are_left_out_and_are_not_called_calibrated():
    labels = np.repeat([0, 1], [30, 30]).astype(np.int8)
    values = np.concatenate([np.linspace(-50, -10, 30), np.linspace(-5, 5, 29), [np.nan]])
    found = figures(labels, values, None, np.ones((1, 60)), calibrated=False)
    assert (found["auc"][0], found["tpr_at_5"][0]) == (1.0, 1.0)
    assert np.isnan(
        [found[name][0] for name in ("ece", "brier", "evasion", "true_positive", "balanced_accuracy")]
    ).all()


@pytest.mark.parametrize(("photographs", "defined"), [(19, ()), (20, ("tpr_at_5",)), (100, ("tpr_at_1", "tpr_at_5"))])
def test_a_rate_below_one_photograph_of_all_is_absent(photographs, defined):
    labels = np.repeat([0, 1], [photographs, 30]).astype(np.int8)
    found = figures(labels, np.arange(len(labels), dtype=float), None, np.ones((1, len(labels))))
    assert tuple(name for name in ("tpr_at_1", "tpr_at_5") if not np.isnan(found[name][0])) == defined


def test_figures_of_too_few_images_are_named():
    few, many = np.repeat([0, 1], [30, 5]).astype(np.int8), np.repeat([0, 1], [300, 300]).astype(np.int8)
    assert list(too_few(few, ("auc", "tpr_at_1", "tpr_at_5", "false_positive", "true_positive"))) == [
        "30 photographs are too few for TPR@5% (at least 40); TPR@1% (at least 200)",
        "5 generated images are too few for AUC, TPR@1%, TPR@5%, TPR (at least 20)",
    ]
    assert list(too_few(many)) == []


def test_calibration_figures_are_at_even_prior_whatever_the_sets_shares():
    random = np.random.default_rng(1)
    labels = np.repeat([0, 1], [9000, 1000]).astype(np.int8)
    llr = random.normal(2 * (2 * labels - 1), 2.0)  # d' = 2, so that llr is its own log-likelihood ratio
    found = figures(labels, llr, None, np.ones((1, 10000)))
    assert found["ece"][0] < 0.03
    assert found["brier"][0] < 0.15


def test_one_label_alone_has_rates_and_no_ranking():
    verdicts = verdicts_of(np.array([0.5, 0.7, 0.9]), 0.6, 0.6)
    found = figures(np.zeros(3, dtype=np.int8), np.arange(3.0), verdicts, np.ones((1, 3)))
    assert found["false_positive"][0] == pytest.approx(2 / 3)
    assert np.isnan([found[name][0] for name in ("auc", "balanced_accuracy", "ece", "cllr", "miss")]).all()


def test_one_component_has_no_interval():
    labels = np.array([0, 1, 0, 1], dtype=np.int8)
    draws = Draws(np.zeros(4, dtype=np.int64), labels, 20)
    found = draws.interval(Ranked(labels, np.arange(4.0), draws.weights).auc())
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
