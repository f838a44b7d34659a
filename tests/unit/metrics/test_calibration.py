import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from d2f.metrics import brier, expected_calibration_error, log_likelihood_ratio_cost


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


def test_weights_stand_for_repetition():
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
