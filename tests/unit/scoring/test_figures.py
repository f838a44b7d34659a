import numpy as np
import pytest
from scipy.special import expit

from d2f.evaluate.figures import TITLES, figures, text_table


def test_figures_by_hand():
    labels = np.array([0, 0, 1, 1], dtype=np.int8)
    llr = np.array([-2.0, 1.0, 0.5, 3.0])
    found = figures(labels, llr, np.round(expit(llr), 4), 0.3, 0.7)
    assert set(found) == set(TITLES)
    assert found["auc"] == 0.75
    assert found["balanced_accuracy"] == 0.75
    assert (found["true_positive"], found["false_positive"], found["miss"]) == (0.5, 0.5, 0.0)
    assert found["inconclusive"] == 0.25


def test_images_without_a_verdict_are_inconclusive_and_rank_even():
    labels = np.array([0, 1, 1], dtype=np.int8)
    found = figures(labels, np.array([-1.0, 1.0, np.nan]), np.array([0.2, 0.8, np.nan]), 0.4, 0.6)
    assert found["inconclusive"] == pytest.approx(1 / 3)
    assert found["auc"] == 1.0


def test_calibration_figures_are_at_even_prior_whatever_the_sets_shares():
    random = np.random.default_rng(1)
    labels = np.repeat([0, 1], [9000, 1000]).astype(np.int8)
    llr = random.normal(2 * (2 * labels - 1), 2.0)  # d' = 2, so that llr is its own log-likelihood ratio
    found = figures(labels, llr, np.round(expit(llr), 4), 0.5, 0.5)
    assert found["ece"] < 0.03
    assert found["brier"] < 0.15


def test_one_label_alone_has_rates_and_no_ranking():
    found = figures(np.zeros(3, dtype=np.int8), np.arange(3.0), np.array([0.5, 0.7, 0.9]), 0.6, 0.6)
    assert found["false_positive"] == pytest.approx(2 / 3)
    assert np.isnan([found[name] for name in ("auc", "balanced_accuracy", "ece", "cllr", "miss")]).all()


def test_a_table_is_flush():
    assert text_table(("a", "bcd"), [("long", "1")]) == ["a     bcd", "long    1"]
