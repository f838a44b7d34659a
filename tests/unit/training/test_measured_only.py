"""`copies.measured_only`: images that are fitted to clean and as `measure` says, in no copy at random."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from d2f import D2FError
from d2f.data.dataset import Dataset, load_dataset
from d2f.data.groups import digest
from d2f.plugins.catalog import Catalog
from d2f.train.estimator import Watcher, recipe_digest, train
from d2f.train.read import read_recipe
from d2f.train.table import file_digests, make_table, table_key
from tests.unit.training.toys import CATALOG, QUIET, RECIPE, Roughness, RoughnessOptions, make_images, write_recipe

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
    found, whole = (make_table(images, each, catalog, workers, lambda *_: None) for each in (spared, plain))
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
    said: list[str] = []
    images, read = (
        str(make_images(tmp_path)),
        recipe(tmp_path, COPIES.replace("windows: [64, 80]", "windows: [64, 96]")),
    )
    train(read, CATALOG, tmp_path / "toy.safetensors", Watcher(said.append, QUIET.progress), images)
    assert said[1] == "8 of 24 images are fitted to as measured only (copies.measured_only)"


def test_a_kept_table_is_not_taken_for_one_of_which_other_images_were_spared(tmp_path):
    images, read = load_dataset(str(make_images(tmp_path))), recipe(tmp_path, COPIES)
    other = Dataset(tuple(replace(image, more={"form": "whole"}) for image in images[:4]) + images[4:])
    keys = {table_key(read, Roughness(RoughnessOptions()), each, file_digests(each)) for each in (images, other)}
    assert len(keys) == 2
    plain = recipe(tmp_path, COPIES.replace(SPARED, ""))
    keys = {table_key(plain, Roughness(RoughnessOptions()), each, file_digests(each)) for each in (images, other)}
    assert len(keys) == 1


def test_a_table_kept_before_there_were_the_keys_is_found(tmp_path):
    images, model = load_dataset(str(make_images(tmp_path))), Roughness(RoughnessOptions())
    without = recipe(tmp_path, COPIES.replace(SPARED, ""))
    plain = without.model_dump(mode="json", by_alias=True, exclude={"balance", "emphasis", "folds"})
    del plain["data"]["leave_out"], plain["copies"]["measured"], plain["copies"]["measured_only"]
    package = sorted(Path(__file__).parents[2].glob("*.py"))
    parts = [json.dumps(plain, sort_keys=True), digest(images), *(file.read_text("utf-8") for file in package)]
    assert (
        table_key(without, model, images, file_digests(images)) == hashlib.sha256("\0".join(parts).encode()).hexdigest()
    )
