import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from d2f.metrics import balanced_accuracy
from d2f.metrics.ranking import rates


def test_rates_by_hand():
    labels = [0, 0, 0, 0, 1, 1, 1, 1, 1]
    probabilities = [0.1, 0.2, 0.5, 0.9, 0.1, 0.3, 0.7, 0.8, 0.95]
    found = rates(labels, probabilities, real_below=0.3, generated_above=0.7)
    assert (found.true_positive, found.false_positive) == (0.4, 0.25)
    assert (found.true_negative, found.miss) == (0.5, 0.2)
    assert found.inconclusive == pytest.approx(3 / 9)
    assert (found.inconclusive_real, found.inconclusive_generated) == (0.25, 0.4)


def test_weights_stand_for_repetition():
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
