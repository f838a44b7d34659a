"""The classifier in numpy against scikit-learn's own."""

from __future__ import annotations

import numpy as np
import pytest
from d2f_noise_statistics.linear import BOUND, fit, scores
from hypothesis import given, settings
from hypothesis import strategies as st


def table(n=300, d=20, seed=0):
    random = np.random.default_rng(seed)
    labels = (random.random(n) < 0.4).astype(np.int8)
    features = random.normal(5, 3, (n, d)) * random.uniform(0.01, 100, d)
    features[:, 0] += labels * features[:, 0].std()
    return features, labels, random.uniform(0.2, 3, n)


def test_scores_are_scikit_learns_decision_function():
    from sklearn.linear_model import LogisticRegression

    features, labels, weights = table()
    arrays = fit(features, labels, weights, 0, 0.1)
    centre = np.average(features, axis=0, weights=weights)
    deviation = np.sqrt(np.average((features - centre) ** 2, axis=0, weights=weights))
    values = np.clip((features - centre) / deviation, -BOUND, BOUND)
    model = LogisticRegression(C=0.1, max_iter=1000, tol=1e-4).fit(values, labels, sample_weight=weights)
    assert scores(arrays, features) == pytest.approx(model.decision_function(values), abs=1e-9)


def test_the_fit_is_where_the_gradient_is_nothing():
    features, labels, weights = table(seed=1)
    arrays = fit(features, labels, weights, 0, 0.1)
    values = np.clip((features - arrays["centre"]) / arrays["deviation"], -BOUND, BOUND)
    misses = weights * (1 / (1 + np.exp(-scores(arrays, features))) - labels)
    assert values.T @ misses + arrays["weight"] / 0.1 == pytest.approx(0, abs=0.05)
    assert misses.sum() == pytest.approx(0, abs=0.05)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 12), st.integers(0, 1000))
def test_a_score_does_not_depend_on_the_other_rows(rows, seed):
    features, labels, weights = table(seed=2)
    arrays = fit(features, labels, weights, 0, 0.1)
    chosen = np.random.default_rng(seed).integers(0, len(features), rows)
    alone = [scores(arrays, features[[i]])[0] for i in chosen]
    assert np.array_equal(scores(arrays, features[chosen]), alone)


def test_fitting_twice_gives_the_same_bytes():
    first, second = fit(*table(), 0, 0.1), fit(*table(), 1, 0.1)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_a_feature_that_never_varies_weighs_nothing():
    features, labels, weights = table()
    features[:, 3] = 7.0
    arrays = fit(features, labels, weights, 0, 0.1)
    assert arrays["weight"][3] == pytest.approx(0, abs=1e-12)
    assert np.isfinite(scores(arrays, features)).all()


def test_no_single_feature_carries_a_picture():
    features, labels, weights = table()
    arrays = fit(features, labels, weights, 0, 0.1)
    wild = features[:1].copy()
    wild[0, 5] = 1e12
    bound = 2 * BOUND * abs(arrays["weight"][5])
    assert abs(scores(arrays, wild)[0] - scores(arrays, features[:1])[0]) <= bound + 1e-9
