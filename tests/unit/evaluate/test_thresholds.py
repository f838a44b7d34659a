import numpy as np
import pytest
from scipy.special import expit

from d2f.evaluate.parts import FitRows, Thresholds, fit_thresholds, images_needed


def rows(labels, weights=None, images=None):
    labels = np.asarray(labels, dtype=np.int8)
    number = np.arange(len(labels))
    given = np.ones(len(labels)) if weights is None else np.asarray(weights, dtype=float)
    images = number if images is None else np.asarray(images)
    return FitRows(np.zeros((len(labels), 1)), labels, given, images, images)


def drawn(random, count, separation):
    labels = np.repeat([0, 1], count)
    return labels, np.round(expit(random.normal(separation * (2 * labels - 1), 2.0)), 4)


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.2])
def test_the_stated_rates_hold_on_images_not_seen(rate):
    random = np.random.default_rng(1)
    alarms, misses = [], []
    for _ in range(40):
        labels, probability = drawn(random, 400, 1.0)
        found = fit_thresholds(rows(labels), probability, rate, rate)
        labels, probability = drawn(random, 4000, 1.0)
        alarms.append((probability[labels == 0] > found.generated_above).mean())
        misses.append((probability[labels == 1] < found.real_below).mean())
    # 400 images decide each threshold, 4000 judge it, 40 times
    deviation = np.sqrt(rate * (1 - rate) * (1 / 400 + 1 / 4000) / 40)
    for held in (np.mean(alarms), np.mean(misses)):
        assert rate - 4 * deviation - 1 / 401 < held < rate + 3 * deviation


def test_thresholds_by_hand():
    # 19 photographs at 0.01..0.19: with one unseen, 1 of 20 may lie above; 2 of 20 at a rate of 0.1
    labels = np.repeat([0, 1], [19, 19])
    probability = np.concatenate([np.arange(1, 20), 100 - np.arange(1, 20)]) / 100
    assert fit_thresholds(rows(labels), 1 - probability, 0.05, 0.05) == Thresholds(0.01, 0.99)
    assert fit_thresholds(rows(labels), 1 - probability, 0.1, 0.15) == Thresholds(0.03, 0.98)


def test_thresholds_that_would_cross_become_the_one_nearest_to_even():
    labels = np.repeat([0, 1], 50)
    found = fit_thresholds(rows(labels), np.where(labels == 1, 0.9, 0.2), 0.05, 0.05)
    assert found == Thresholds(0.5, 0.5, crossed=True)
    assert fit_thresholds(rows(labels), np.where(labels == 1, 0.9, 0.7), 0.05, 0.05) == Thresholds(0.7, 0.7, True)
    assert fit_thresholds(rows(labels), np.where(labels == 1, 0.4, 0.2), 0.05, 0.05) == Thresholds(0.4, 0.4, True)


def test_too_few_images_give_no_verdict_of_that_kind():
    labels, probability = np.repeat([0, 1], [18, 19]), np.repeat([0.6, 0.4], [18, 19])
    assert fit_thresholds(rows(labels), probability, 0.05, 0.05) == Thresholds(0.4, 1.0)
    assert images_needed(0.05) == 19


def test_copies_of_an_image_are_one_image():
    labels, probability = np.repeat([0, 1], 8 * 10), np.repeat([0.4, 0.6], 8 * 10)
    copies = rows(labels, images=np.arange(160) // 8)
    assert fit_thresholds(copies, probability, 0.05, 0.05) == Thresholds(0.0, 1.0)
    assert fit_thresholds(copies, probability, 0.1, 0.1) == Thresholds(0.5, 0.5, crossed=True)


def test_images_without_a_verdict_are_no_errors():
    labels = np.repeat([0, 1], 40)
    probability = np.where(labels == 1, 0.8, 0.3)
    probability[:20] = np.nan
    assert fit_thresholds(rows(labels), probability, 0.3, 0.3).generated_above <= 0.5


def test_weights_count():
    labels = np.repeat([0, 1], 100)
    probability = np.where(labels == 1, 0.99, np.linspace(0.01, 0.5, 200))
    heavy = np.where((labels == 0) & (np.arange(200) > 90), 50.0, 1.0)
    light = fit_thresholds(rows(labels), probability, 0.2, 0.001).generated_above
    assert fit_thresholds(rows(labels, heavy), probability, 0.2, 0.001).generated_above > light


def test_a_rate_of_nothing_allows_nothing_and_a_rate_of_one_everything():
    labels = np.repeat([0, 1], 30)
    probability = np.where(labels == 1, 0.7, 0.3)
    assert fit_thresholds(rows(labels), probability, 0.0, 0.0) == Thresholds(0.0, 1.0)
    assert fit_thresholds(rows(labels), probability, 1.0, 1.0) == Thresholds(0.5, 0.5, crossed=True)
