import numpy as np
import pytest
from scipy.stats import norm

from d2f.evaluate.delong import auc_error, difference_p, placements


def kernel(labels, values):
    """V10 and V01 of DeLong et al. by their definition, pair by pair."""
    real, generated = values[labels == 0], values[labels == 1]
    above = (generated[:, None] > real).astype(float) + 0.5 * (generated[:, None] == real)
    return above.mean(axis=1), above.mean(axis=0)


@pytest.fixture
def sample():
    random = np.random.default_rng(5)
    labels = (np.arange(90) % 3 == 0).astype(np.int8)
    return labels, *(np.round(random.normal(2 * labels - 1.0, spread), 1) for spread in (2, 3))


def test_placements_and_error_by_definition(sample):
    labels, values, _ = sample
    for found, expected in zip(placements(labels, values), kernel(labels, values), strict=True):
        np.testing.assert_allclose(found, expected)
    v10, v01 = kernel(labels, values)
    assert auc_error(labels, values) == pytest.approx(np.sqrt(v10.var(ddof=1) / 30 + v01.var(ddof=1) / 60))


def test_difference_by_the_covariance_formula(sample):
    labels, first, second = sample
    one, other = kernel(labels, first), kernel(labels, second)
    variance = sum(
        (np.cov(a, b)[0, 0] + np.cov(a, b)[1, 1] - 2 * np.cov(a, b)[0, 1]) / len(a)
        for a, b in zip(one, other, strict=True)
    )
    z = (one[0].mean() - other[0].mean()) / np.sqrt(variance)
    assert difference_p(labels, first, second) == pytest.approx(2 * norm.sf(abs(z)))
    assert difference_p(labels, first, 3 * first) == 1.0
