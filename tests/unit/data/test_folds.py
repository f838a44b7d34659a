import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2f import D2FError
from d2f.data.split import folds


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 1)), min_size=4, max_size=120),
    st.integers(2, 8),
    st.integers(0, 5),
)
def test_folds_never_cut_a_component(pairs, k, seed):
    components, labels = (np.array(column) for column in zip(*pairs, strict=True))
    if any(len(set(components[labels == label])) < 2 for label in (0, 1)):
        with pytest.raises(D2FError):
            folds(components, labels, k, seed)
        return
    found = folds(components, labels, k, seed)
    for component in set(components.tolist()):
        assert len(set(found[components == component].tolist())) == 1
    assert set(found.tolist()) <= set(range(min(k, len(set(components.tolist())))))


def test_both_labels_are_dealt_evenly():
    random = np.random.default_rng(1)
    components = np.repeat(np.arange(200), random.integers(1, 6, 200))
    labels = (components % 2).astype(np.int8)
    found = folds(components, labels, 5, seed=3)
    for label in (0, 1):
        share = np.bincount(found[labels == label], minlength=5) / (labels == label).sum()
        assert np.abs(share - 0.2).max() < 0.01


def test_the_same_seed_gives_the_same_folds_and_another_gives_others():
    components, labels = np.arange(60), np.arange(60) % 2
    assert np.array_equal(folds(components, labels, 4, 7), folds(components, labels, 4, 7))
    assert not np.array_equal(folds(components, labels, 4, 7), folds(components, labels, 4, 8))


@pytest.mark.parametrize(
    ("components", "labels", "words"),
    [([0, 1, 2], [0, 0, 0], "there are no generated images"), ([0, 1, 1], [0, 1, 1], "come from one collection")],
)
def test_without_two_collections_of_each_label_there_is_nothing_to_fit(components, labels, words):
    with pytest.raises(D2FError, match=words) as error:
        folds(np.array(components), np.array(labels), 2)
    assert error.value.problems[0].code == "D2F603"
