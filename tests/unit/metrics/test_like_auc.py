import numpy as np
import pytest

from d2f.metrics import like_roc_auc, roc_auc


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
