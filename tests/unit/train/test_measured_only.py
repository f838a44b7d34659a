"""`copies.measured_only`: images that are fitted to clean and as `measure` says, in no copy at random."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from d2f import D2FError
from d2f.data.dataset import Dataset, load_dataset
from d2f.data.groups import file_sha256
from d2f.plugins.catalog import Catalog
from d2f.train.read import read_recipe
from d2f.train.recipe import recipe_digest
from d2f.train.table import FeatureMaker, make_table, table_key
from tests.unit.train.estimator_toys import CATALOG, RECIPE, Heard, fitted, make_images, write_recipe

COPIES = "copies: {fitting: 2, judging: 1, measured: 1, windows: [64, 80], measured_only: [{column: form, equals: ''}]}"
SPARED = ", measured_only: [{column: form, equals: ''}]"
INSTALLED = f"d2f: 1\ntrain: noise-statistics\nwith: {{}}\ndata: {{part: all}}\n{COPIES}\n"
"""A recipe that processes of their own can read: its stages are installed."""


def recipe(folder, copies):
    return read_recipe(
        write_recipe(
            folder, RECIPE.replace("copies: {protocol: crop, fitting: 2, judging: 1, windows: [64, 96]}", copies)
        ),
        CATALOG,
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_their_random_copies_have_no_features_and_those_of_measure_do(tmp_path, workers):
    images, catalog = load_dataset(str(make_images(tmp_path))), Catalog.discover()
    texts = INSTALLED, INSTALLED.replace(SPARED, "")
    spared, plain = (read_recipe(write_recipe(tmp_path, text), catalog) for text in texts)
    found, whole = (
        make_table(images, FeatureMaker(each, catalog), catalog, workers, lambda *_: None) for each in (spared, plain)
    )
    old = np.array([image.more["form"] == "" for image in images])
    assert 0 < old.sum() < len(old)
    assert found.training.shape == whole.training.shape == (24, 3, whole.training.shape[2])
    assert np.isnan(found.training[old]).all()
    assert np.array_equal(found.training[~old], whole.training[~old])
    assert np.array_equal(found.measuring, whole.measuring)
    assert not np.isnan(found.repeated(1).training[old][:, -1]).any()


def test_without_measured_they_would_not_be_fitted_to_and_that_is_refused(tmp_path):
    with pytest.raises(D2FError, match="`measured_only` needs `measured` of at least 1"):
        recipe(tmp_path, COPIES.replace("measured: 1, ", ""))


def test_a_recipe_without_the_key_keeps_the_digest_that_it_had(tmp_path):
    without = recipe(tmp_path, COPIES.replace(SPARED, ""))
    empty = recipe(tmp_path, COPIES.replace("[{column: form, equals: ''}]", "[]"))
    assert recipe_digest(without) == recipe_digest(empty) != recipe_digest(recipe(tmp_path, COPIES))


def test_how_many_they_are_is_told(tmp_path):
    watcher, read = Heard(), recipe(tmp_path, COPIES.replace("windows: [64, 80]", "windows: [64, 96]"))
    fitted(read, tmp_path / "toy.safetensors", make_images(tmp_path), watcher)
    assert watcher.lines[1] == "8 of 24 images are fitted to as measured only (copies.measured_only)"


def test_a_cached_table_is_not_taken_for_one_of_which_other_images_were_spared(tmp_path):
    images, read = load_dataset(str(make_images(tmp_path))), recipe(tmp_path, COPIES)
    other = Dataset(tuple(replace(image, more={"form": "whole"}) for image in images[:4]) + images[4:])

    def keys(read):
        maker = FeatureMaker(read, CATALOG)
        return {table_key(maker, each, tuple(file_sha256(one.path) for one in each)) for each in (images, other)}

    assert len(keys(read)) == 2
    assert len(keys(recipe(tmp_path, COPIES.replace(SPARED, "")))) == 1
