from __future__ import annotations

import math

import numpy as np
import pytest

from d2f.data.dataset import Dataset, Labelled
from d2f.train.figures import validation_figures


def dataset(*images):
    return Dataset(tuple(Labelled(str(i), label, "", "", collection) for i, (label, collection) in enumerate(images)))


SET = dataset((0, "a"), (1, "a"), (0, "a"), (1, "a"), (0, "b"), (1, "b"), (0, "c"), (1, "d"))


def test_figures_are_over_all_and_within_each_two_class_collection():
    scores = np.array([-1.0, 1.0, 0.5, 0.2, 3.0, 2.0, -2.0, -3.0])
    found = validation_figures(SET, scores)
    real, generated = scores[SET.labels == 0], scores[SET.labels == 1]
    assert found.auc == pytest.approx(np.mean(generated[:, None] > real[None]))
    assert found.balanced_accuracy == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert found.collections == {"a": 0.75, "b": 0.0}
    assert found.two_class_auc == pytest.approx(0.375)
    assert found.images == 8
    assert found.confusion == [[2, 2], [1, 3]]
    assert found.accuracy == 0.625
    assert found.f1 == pytest.approx(2 * 3 / (2 * 3 + 2 + 1))
    assert found.generators == {"real": 0.5, "unnamed": 0.75}


def test_images_without_a_score_are_left_out():
    scores = np.array([-1.0, 1.0, np.nan, np.nan, 3.0, np.nan, -2.0, -3.0])
    found = validation_figures(SET, scores)
    assert found.images == 5
    assert found.collections == {"a": 1.0}


def test_without_a_two_class_collection_there_is_no_figure_of_them():
    found = validation_figures(dataset((0, "a"), (1, "b")), np.array([0.0, 1.0]))
    assert math.isnan(found.two_class_auc)
