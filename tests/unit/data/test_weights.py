import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2f.data.dataset import Labelled
from d2f.data.weights import effective_count, halved, image_weights


def images(*keys):
    return [Labelled("x", label, generator=name, source=name, collection=name) for label, name in keys]


def test_both_labels_weigh_the_same_and_sources_by_the_root_of_their_size():
    weights = image_weights(images(*[(0, "a")] * 9, (0, "b"), *[(1, "g")] * 5))
    assert [weights[:10].sum(), weights[10:].sum()] == pytest.approx([0.5, 0.5])
    # three times the weight for nine times the images
    assert weights[:9].sum() == pytest.approx(3 * weights[9])


def test_images_without_a_source_weigh_the_same():
    assert image_weights(images((0, ""), (0, ""), (1, ""))).tolist() == pytest.approx([0.25, 0.25, 0.5])


@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from("abc")), min_size=1, max_size=30))
def test_weights_are_positive_and_sum_to_one(keys):
    weights = image_weights(images(*keys))
    assert (weights > 0).all()
    assert weights.sum() == pytest.approx(1)


def test_one_label_alone_weighs_one():
    assert halved(np.ones(4), np.ones(4, dtype=np.int8)).sum() == pytest.approx(1)


def test_effective_count_by_hand():
    assert effective_count(np.ones(7)) == pytest.approx(7)
    assert effective_count(np.array([3.0, 1.0])) == pytest.approx(1.6)
    assert effective_count(np.array([])) == 0
