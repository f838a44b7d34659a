from __future__ import annotations

import numpy as np
import pytest

from d2f.train.estimator import fit_rows, out_of_fold, predict
from d2f.train.table import FeatureTable


class Recorder:
    """Keeps what it was fitted to; scores are the mean of the features less that of the fit."""

    def __init__(self):
        self.seen = []

    def fit(self, features, labels, weights, seed):
        self.seen.append((features, labels, weights, seed))
        return {"mean": features.mean(axis=0)}

    def predict(self, arrays, features):
        return (features - arrays["mean"]).mean(axis=1)


def table(images=6, copies=3, width=2, seed=0):
    random = np.random.default_rng(seed)
    training = random.normal(size=(images, copies, width))
    training[1, 2] = np.nan
    measuring = random.normal(size=(images, 2, width))
    measuring[4, 1] = np.nan
    return FeatureTable(tuple("0" * 64 for _ in range(images)), training, measuring)


LABELS = np.array([0, 1, 0, 1, 0, 1], dtype=np.int8)
WEIGHTS = np.arange(1.0, 7.0)


def test_each_copy_has_its_images_label_and_weight_and_absent_ones_are_left_out():
    recorder = Recorder()
    fit_rows(recorder, table().training, LABELS, WEIGHTS, 3)
    features, labels, weights, seed = recorder.seen[0]
    assert features.shape == (17, 2)
    assert labels.tolist() == [0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1]
    assert weights.tolist() == [1, 1, 1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6, 6]
    assert seed == 3


def test_scores_are_of_models_that_saw_nothing_of_the_fold():
    made, recorder, told = table(), Recorder(), []
    fold = np.array([0, 0, 1, 1, 2, 2])
    scores = out_of_fold(recorder, made, LABELS, WEIGHTS, fold, 0, lambda *each: told.append(each))
    assert [number for number, _ in told] == [0, 1, 2]
    for number, arrays in told:
        assert arrays["mean"] == pytest.approx(np.nanmean(made.training[fold != number].reshape(-1, 2), axis=0))
    for image in range(6):
        others = made.training[fold != fold[image]].reshape(-1, 2)
        mean = np.nanmean(others, axis=0)
        expected = (made.measuring[image] - mean).mean(axis=1)
        assert scores[image] == pytest.approx(expected, nan_ok=True)
    assert np.isnan(scores[4, 1])
    assert np.isnan(scores).sum() == 1


def test_predictions_keep_the_place_of_what_is_absent():
    features = np.ones((2, 2, 3))
    features[1, 0] = np.nan
    found = predict(Recorder(), {"mean": np.zeros(3)}, features)
    assert np.array_equal(found, [[1, 1], [np.nan, 1]], equal_nan=True)
