from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2f.data.dataset import Dataset, Labelled
from d2f.train.images import image_weights
from d2f.train.recipe import Emphasis


def dataset(*counts):
    """Return a set of (label, generator, collection, form, count)."""
    images = [
        Labelled(f"{i}-{j}", label, generator, collection, collection, more={"form": form})
        for i, (label, generator, collection, form, count) in enumerate(counts)
        for j in range(count)
    ]
    return Dataset(tuple(images))


SET = dataset((0, "", "a", "", 10), (0, "", "b", "whole", 40), (1, "x", "b", "whole", 5), (1, "y", "b", "", 20))


def sums(weights):
    edges = np.cumsum([0, 10, 40, 5, 20])
    return [weights[i:j].sum() for i, j in pairwise(edges)]


def test_at_none_sources_and_generators_are_alike():
    found = sums(image_weights(SET, 0.0))
    assert found == pytest.approx([75 / 4] * 4)


def test_at_one_images_of_a_label_are_alike():
    found = sums(image_weights(SET, 1.0))
    assert found == pytest.approx([75 / 2 * 0.2, 75 / 2 * 0.8, 75 / 2 * 0.2, 75 / 2 * 0.8])


def test_between_they_go_by_the_root_of_their_number():
    found = sums(image_weights(SET, 0.5))
    assert found[1] / found[0] == pytest.approx(2)
    assert found[3] / found[2] == pytest.approx(2)


@given(st.floats(0, 1))
def test_labels_have_one_sum_and_the_mean_is_one(balance):
    weights = image_weights(SET, balance, [Emphasis(column="form", equals="", factor=0.3)])
    assert weights.mean() == pytest.approx(1)
    assert weights[SET.labels == 0].sum() == pytest.approx(weights[SET.labels == 1].sum())


@pytest.mark.parametrize(("column", "equals"), [("form", ""), ("generator", "y")])
def test_emphasis_goes_by_columns_of_the_manifest(column, equals):
    found = sums(image_weights(SET, 0.0, [Emphasis(column=column, equals=equals, factor=3.0)]))
    assert found[3] / found[2] == pytest.approx(3)
    assert found[0] / found[1] == pytest.approx(3 if column == "form" else 1)
