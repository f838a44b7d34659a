import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from d2f.metrics import average_precision, roc_auc, true_positive_rate_at


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
