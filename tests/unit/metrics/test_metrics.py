"""Figures of scores: against scikit-learn, by hand, and their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn import metrics
from sklearn.metrics import average_precision_score, balanced_accuracy_score, brier_score_loss, log_loss, roc_auc_score

from d2f.metrics import (
    Draws,
    Ranked,
    average_precision,
    balanced_accuracy,
    brier,
    cluster_bootstrap,
    expected_calibration_error,
    like_roc_auc,
    log_likelihood_ratio_cost,
    roc_auc,
    true_positive_rate_at,
)
from d2f.metrics.figures import FIGURES, figures, too_few, verdicts_of
from d2f.metrics.intervals import holm, p_value
from d2f.metrics.ranking import rates

# Every figure on many rows of weights.


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
    for figure, prediction in (
        (brier, probability),
        (expected_calibration_error, probability),
        (log_likelihood_ratio_cost, values),
        (roc_auc, values),
    ):
        found = figure(labels, prediction, draws.weights)
        assert found == pytest.approx([figure(labels, prediction, row) for row in draws.weights])
        assert isinstance(figure(labels, prediction, draws.weights[0]), float)


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


# Ranking.


def tied(seed, n=300):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, n)
    return labels, np.round(random.normal(labels * 0.8, 1), 1), random.uniform(0.1, 3, n)


def test_auc_by_hand_with_a_tie():
    # pairs (real, generated): (1,1) tie, (1,3) won, (2,1) lost, (2,3) won: 2.5 of 4
    assert roc_auc([0, 0, 1, 1], [1, 2, 1, 3]) == 0.625


@pytest.mark.parametrize("seed", range(5))
def test_auc_and_average_precision_equal_scikit_learns_with_ties_and_weights(seed):
    labels, values, weights = tied(seed)
    for given_weights in (None, weights):
        auc = metrics.roc_auc_score(labels, values, sample_weight=given_weights)
        precision = metrics.average_precision_score(labels, values, sample_weight=given_weights)
        assert roc_auc(labels, values, given_weights) == pytest.approx(auc, abs=1e-12)
        assert average_precision(labels, values, given_weights) == pytest.approx(precision, abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(-5, 5)), min_size=1, max_size=60))
def test_turning_the_values_round_turns_the_auc_round(pairs):
    labels, values = map(np.array, zip(*pairs, strict=True))
    there, back = roc_auc(labels, values), roc_auc(labels, -values)
    assert (np.isnan(there) and np.isnan(back)) or there + back == pytest.approx(1.0)


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.05, 0.3, 1.0])
def test_true_positive_rate_is_read_off_scikit_learns_curve(rate):
    labels, values, weights = tied(8)
    for given_weights in (None, weights):
        false, true, _ = metrics.roc_curve(labels, values, sample_weight=given_weights, drop_intermediate=False)
        assert true_positive_rate_at(labels, values, rate, given_weights) == pytest.approx(true[false <= rate].max())


def test_a_rate_met_exactly_counts():
    labels = np.repeat([0, 1], 20)
    values = np.concatenate([np.arange(20), np.full(20, 18.5)])
    assert true_positive_rate_at(labels, values, 0.05) == 1.0
    assert true_positive_rate_at(labels, values, 0.04) == 0.0


def test_one_class_alone_has_no_ranking():
    assert np.isnan(roc_auc([1, 1], [0, 1]))
    assert np.isnan(true_positive_rate_at([0, 0], [0, 1], 0.1))
    assert np.isnan(average_precision([0, 0], [0, 1]))


@pytest.mark.parametrize(
    ("labels", "values", "weights"),
    [([0, 2], [0, 1], None), ([0, 1], [0, np.nan], None), ([0], [0, 1], None), ([0, 1], [0, 1], [1, -1])],
)
def test_what_is_no_sample_is_refused(labels, values, weights):
    with pytest.raises(ValueError, match="must be"):
        roc_auc(labels, values, weights)


# Rates.


def test_rates_by_hand():
    labels = [0, 0, 0, 0, 1, 1, 1, 1, 1]
    probabilities = [0.1, 0.2, 0.5, 0.9, 0.1, 0.3, 0.7, 0.8, 0.95]
    found = rates(labels, probabilities, real_below=0.3, generated_above=0.7)
    assert (found.true_positive, found.false_positive) == (0.4, 0.25)
    assert (found.true_negative, found.miss) == (0.5, 0.2)
    assert found.inconclusive == pytest.approx(3 / 9)
    assert (found.inconclusive_real, found.inconclusive_generated) == (0.25, 0.4)


def test_weights_of_rates_stand_for_repetition():
    labels, probabilities, times = np.array([0, 1, 1]), np.array([0.2, 0.4, 0.9]), np.array([3, 1, 2])
    assert rates(labels, probabilities, 0.3, 0.5, times) == rates(
        labels.repeat(times), probabilities.repeat(times), 0.3, 0.5
    )


def test_thresholds_that_cross_are_refused():
    with pytest.raises(ValueError, match="real_below"):
        rates([0], [0.5], 0.7, 0.3)


def test_a_class_that_is_missing_has_no_rate():
    assert np.isnan(rates([0, 0], [0.1, 0.2], 0.3, 0.5).miss)


@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_balanced_accuracy_equals_scikit_learns(threshold):
    random = np.random.default_rng(2)
    labels, values, weights = random.integers(0, 2, 200), random.uniform(size=200).round(1), random.uniform(size=200)
    expected = balanced_accuracy_score(labels, values >= threshold, sample_weight=weights)
    assert balanced_accuracy(labels, values, threshold, weights) == pytest.approx(expected)


# Calibration.


def test_calibration_error_of_equal_widths_by_hand():
    # [0, .5): mean 0.2, share 1/2; [.5, 1]: mean 0.8, share 1/2
    error = expected_calibration_error([0, 1, 0, 1], [0.1, 0.3, 0.7, 0.9], bins=2, by="width")
    assert error == pytest.approx(0.3)


def test_calibration_error_of_equal_mass_by_hand():
    # three bins of two images: sums of probabilities 0.1, 0.32, 1.6; generated images 0, 1, 2
    labels, probabilities = [0, 0, 0, 1, 1, 1], [0.0, 0.1, 0.12, 0.2, 0.7, 0.9]
    assert expected_calibration_error(labels, probabilities, bins=3) == pytest.approx((0.1 + 0.68 + 0.4) / 6)


def test_equal_values_are_never_parted():
    labels, probabilities = np.arange(100) % 2, np.full(100, 0.5)
    assert expected_calibration_error(labels, probabilities) == 0.0


def test_calibrated_probabilities_have_little_error_and_shifted_ones_their_shift():
    random = np.random.default_rng(4)
    probabilities = random.uniform(size=200_000)
    labels = (random.uniform(size=len(probabilities)) < probabilities).astype(int)
    for by in ("mass", "width"):
        assert expected_calibration_error(labels, probabilities, by=by) < 0.01
        shifted = probabilities * 0.8
        assert expected_calibration_error(labels, shifted, by=by) == pytest.approx(0.1, abs=0.01)


def test_weights_of_calibration_stand_for_repetition():
    random = np.random.default_rng(5)
    labels, values, times = random.integers(0, 2, 50), random.uniform(size=50), random.integers(1, 4, 50)
    many = labels.repeat(times), values.repeat(times)
    for figure in (expected_calibration_error, brier):
        assert figure(labels, values, times) == pytest.approx(figure(*many))
    logits = np.log(values / (1 - values))
    assert log_likelihood_ratio_cost(labels, logits, times) == pytest.approx(
        log_likelihood_ratio_cost(many[0], logits.repeat(times))
    )


def test_brier_equals_scikit_learns():
    random = np.random.default_rng(6)
    labels, values, weights = random.integers(0, 2, 80), random.uniform(size=80), random.uniform(size=80)
    assert brier(labels, values, weights) == pytest.approx(brier_score_loss(labels, values, sample_weight=weights))


def test_cllr_is_the_cross_entropy_in_bits_of_balanced_classes():
    random = np.random.default_rng(7)
    labels = np.repeat([0, 1], [30, 90])
    llrs = random.normal(labels * 4 - 2, 2)
    balanced = np.where(labels == 1, 1 / 90, 1 / 30)
    expected = log_loss(labels, 1 / (1 + np.exp(-llrs)), sample_weight=balanced) / np.log(2)
    assert log_likelihood_ratio_cost(labels, llrs) == pytest.approx(expected)


def test_cllr_by_hand():
    # log2(1 + e^-ln 3) = log2(4/3); log2(1 + e^ln 3) = 2
    assert log_likelihood_ratio_cost([1, 0], [np.log(3), np.log(3)]) == pytest.approx((np.log2(4 / 3) + 2) / 2)


def test_cllr_of_huge_ratios_is_finite():
    assert log_likelihood_ratio_cost([1, 0], [1e6, -1e6]) == 0.0
    assert log_likelihood_ratio_cost([1, 0], [-1e3, 1e3]) == pytest.approx(1e3 / np.log(2))


def test_probabilities_outside_their_range_are_refused():
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        brier([0, 1], [0.2, 1.2])


# Intervals.


def clustered(random, clusters=40, size=10, between=1.0):
    """A mean near zero whose images of one cluster share an offset."""
    offsets = random.normal(0, between, clusters)
    values = np.repeat(offsets, size) + random.normal(0, 0.3, clusters * size)
    return np.repeat(np.arange(clusters), size), values


def test_the_interval_covers_the_truth_as_often_as_it_says():
    random = np.random.default_rng(11)
    held = 0
    for trial in range(150):
        components, values = clustered(random)
        labels = np.zeros(len(values), dtype=np.int8)
        found = cluster_bootstrap(lambda i, v=values: float(v[i].mean()), components, labels, 300, seed=trial)
        held += found.low <= 0 <= found.high
    # 0.95 +- three binomial deviations of 150 trials, and the percentile interval's known slight shortness
    assert 0.88 <= held / 150 <= 1.0


def test_it_is_wider_than_one_that_draws_images_singly():
    components, values = clustered(np.random.default_rng(12))
    labels = np.zeros(len(values), dtype=np.int8)
    whole = cluster_bootstrap(lambda i: float(values[i].mean()), components, labels)
    single = cluster_bootstrap(lambda i: float(values[i].mean()), np.arange(len(values)), labels)
    assert whole.high - whole.low > 2 * (single.high - single.low)
    assert whole.value == single.value == pytest.approx(values.mean())


def test_whole_components_are_drawn_and_no_label_is_lost():
    components, labels = np.array([0, 0, 1, 1, 1, 2, 3, 3]), np.array([0, 0, 0, 0, 0, 1, 1, 0])
    seen = []

    def figure(index):
        seen.append(index)
        counts = np.bincount(index, minlength=8)
        for component in range(4):
            assert len(set(counts[components == component])) == 1
        return roc_auc(labels[index], index.astype(float))

    cluster_bootstrap(figure, components, labels, draws=50)
    assert all(len(set(labels[index])) == 2 for index in seen)


def test_the_same_seed_gives_the_same_interval():
    components, values = clustered(np.random.default_rng(13))
    labels = np.zeros(len(values), dtype=np.int8)
    one, two = (cluster_bootstrap(lambda i: float(values[i].mean()), components, labels, 50, seed=5) for _ in "ab")
    assert one == two
    assert one.low < one.value < one.high


def test_one_component_gives_no_bounds():
    found = cluster_bootstrap(lambda i: 1.0, np.zeros(4, dtype=int), np.array([0, 1, 0, 1]))
    assert found.value == 1.0
    assert np.isnan([found.low, found.high]).all()
    assert str(found) == "1.000 [nan, nan]"


# Intervals of figures like the AUC.


def brute(labels, values, trait, weights, within):
    above = total = 0.0
    for i in np.flatnonzero(labels == 1):
        for j in np.flatnonzero(labels == 0):
            if max(trait[i], trait[j]) / min(trait[i], trait[j]) <= 1 + within:
                share = weights[i] * weights[j]
                above += share * ((values[i] > values[j]) + 0.5 * (values[i] == values[j]))
                total += share
    return above / total


@pytest.mark.parametrize("within", [0.0, 0.05, 0.5])
def test_it_is_the_share_of_like_pairs_in_order(within):
    random = np.random.default_rng(4)
    labels = random.integers(0, 2, 80)
    values = np.round(random.normal(size=80) + labels, 1)
    trait = random.choice([0.75, 1.0, 1.04, 1.333, 1.5], 80)
    weights = random.uniform(0.1, 3, 80)
    expected = brute(labels, values, trait, weights, within)
    assert like_roc_auc(labels, values, trait, weights, within) == pytest.approx(expected)


def test_all_alike_it_is_the_plain_area_and_none_alike_it_is_not_defined():
    labels, values = np.array([0, 1, 0, 1, 1]), np.array([0.1, 0.3, 0.2, 0.15, 0.9])
    assert like_roc_auc(labels, values, np.ones(5)) == pytest.approx(roc_auc(labels, values))
    assert np.isnan(like_roc_auc(labels, values, 1.0 + labels))


def test_what_the_trait_alone_tells_counts_for_nothing():
    random = np.random.default_rng(1)
    labels = random.integers(0, 2, 2000)
    trait = np.where(random.random(2000) < 0.3 + 0.4 * labels, 1.0, 1.5)
    assert roc_auc(labels, -trait) > 0.65
    assert like_roc_auc(labels, -trait, trait) == pytest.approx(0.5)
