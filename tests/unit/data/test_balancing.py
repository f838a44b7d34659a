import numpy as np
import pytest

from d2f import D2FError
from d2f.data.dataset import Dataset, Labelled
from d2f.data.weights import balanced, label_weights


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
