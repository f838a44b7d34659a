"""Weights of images, and labels balanced."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2f import D2FError
from d2f.data.dataset import Dataset, Labelled
from d2f.data.weights import balanced, effective_count, halved, image_weights, label_weights


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


# Balanced labels.


def made(real=30, generated=12):
    images = [Labelled(f"r{i}", 0, collection=f"c{i % 3}") for i in range(real)]
    images += [Labelled(f"g{i}", 1, "toy", collection=f"c{i % 3}") for i in range(generated)]
    return Dataset(tuple(images))


def test_smallest_leaves_out_evenly_over_collections():
    found = balanced(made(), "smallest", seed=1)
    assert np.bincount(found.labels).tolist() == [12, 12]
    real = [image.collection for image in found if not image.label]
    assert [real.count(name) for name in ("c0", "c1", "c2")] == [4, 4, 4]
    assert balanced(made(), "smallest", seed=1).images == found.images
    assert balanced(made(), "smallest", seed=2).images != found.images


def test_oversample_repeats_each_equally_often_or_once_more():
    found = balanced(made(), "oversample")
    assert np.bincount(found.labels).tolist() == [30, 30]
    paths = [image.path for image in found if image.label]
    assert {paths.count(path) for path in set(paths)} == {2, 3}
    assert len(set(paths)) == 12


def test_weights_give_both_labels_one_sum():
    labels = made().labels
    weights = label_weights(labels)
    assert weights[labels == 0].sum() == pytest.approx(weights[labels == 1].sum())
    assert weights.mean() == pytest.approx(1)
    assert len(balanced(made(), "weights")) == len(balanced(made(), "none")) == 42


@pytest.mark.parametrize(("real", "generated", "word"), [(0, 3, "photographs"), (3, 0, "generated images")])
def test_an_empty_label_cannot_be_balanced(real, generated, word):
    with pytest.raises(D2FError, match=f"no {word}") as error:
        balanced(made(real, generated), "smallest")
    assert error.value.problems[0].code == "D2F603"
