"""The images that validate where a recipe names a share: the fold that says most."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from d2f import D2FError
from d2f.data.dataset import Dataset, Labelled, write_manifest
from d2f.train.images import divide, telling_fold
from d2f.train.recipe import NetworkRecipe

RECIPE = NetworkRecipe.model_validate({"d2f": 1, "train": "resnet", "with": {}, "data": {"part": "all"}})
# (collection, photographs, generated images): one of each label is large, two small ones hold both.
SIZES = [("houses", 40, 0), ("faces", 0, 40), ("shop", 20, 0), ("fantasy", 0, 20), ("pairs", 6, 6), ("course", 4, 4)]


def written(folder, sizes):
    """Write a manifest of empty files, which nothing here opens."""
    images = [
        Labelled(str(folder / f"{name}-{label}-{i}.png"), label, "g" if label else "", name, name, "")
        for name, *counts in sizes
        for label, count in enumerate(counts)
        for i in range(count)
    ]
    for image in images:
        Path(image.path).touch()
    write_manifest(folder / "set.csv", Dataset(tuple(images), "set"))
    return str(folder / "set.csv")


@pytest.fixture
def manifest(tmp_path):
    return written(tmp_path, SIZES)


def test_the_fold_with_the_most_collections_of_both_labels_validates(manifest):
    for share in (0.2, 0.34, 0.5):
        divided = divide(RECIPE.changed({"data.validation": share}), manifest)
        held = set(divided.validation.collections)
        assert held & {"pairs", "course"}
        assert not held & set(divided.training.collections)
        assert len(divided.training) + len(divided.validation) == 140


def test_a_fold_that_is_asked_for_is_the_one(manifest):
    held = [set(divide(RECIPE, manifest, (number, 3)).validation.collections) for number in range(3)]
    assert held[0] == {"houses", "faces"}
    assert set.union(*held) == {name for name, *_ in SIZES}
    assert sum(map(len, held)) == len(SIZES)


@pytest.mark.parametrize(
    ("folds", "expected"),
    [
        # Each fold: its components, and each component: the labels of its images.
        ([["00", "11"], ["01", "0"]], 1),
        ([["01", "0"], ["01", "0", "1"]], 1),
        ([["01", "01"], ["01", "0", "1", "1"]], 0),
        ([["01", "0"], ["10", "1"]], 0),
        ([["0", "0", "0"], ["0", "1"]], 1),
        ([["0", "1"], ["0", "1", "1"]], 1),
    ],
)
def test_what_counts_is_both_labels_then_components_then_the_number(folds, expected):
    rows = [
        (number, f"{number}.{i}", int(label))
        for number, fold in enumerate(folds)
        for i, component in enumerate(fold)
        for label in component
    ]
    numbers, names, labels = (np.array(column) for column in zip(*rows, strict=True))
    together = np.unique(names, return_inverse=True)[1]
    # The order of images says nothing.
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(rows))
        assert telling_fold(numbers[order], together[order], labels[order]) == expected


def test_a_set_without_two_collections_of_a_label_is_refused(tmp_path):
    manifest = written(tmp_path, [("houses", 4, 0), ("shop", 4, 0), ("faces", 0, 4)])
    with pytest.raises(D2FError) as caught:
        divide(RECIPE, manifest)
    assert caught.value.problems[0].code == "D2F603"
