"""A kept table serves the same images in another order."""

from __future__ import annotations

import numpy as np

from d2f.data.dataset import Dataset, load_dataset
from d2f.plugins.build import build
from d2f.train.read import read_recipe
from d2f.train.table import file_digests, keep_table, load_table, make_table, table_key
from tests.unit.training.toys import CATALOG, make_images, write_recipe


def test_rows_follow_the_set_that_asks(tmp_path):
    images = load_dataset(str(make_images(tmp_path)))
    backwards = Dataset(tuple(reversed(images)))
    recipe = read_recipe(write_recipe(tmp_path), CATALOG)
    trainable = build(CATALOG, "trainable", recipe.train, recipe.with_)
    key = table_key(recipe, trainable, images, file_digests(images))
    assert key == table_key(recipe, trainable, backwards, file_digests(backwards))
    assert load_table(tmp_path / "cache", key, file_digests(images)) is None
    made = make_table(images, recipe, CATALOG, 1, lambda *_: None)
    assert keep_table(tmp_path / "cache", key, made) == ""
    found = load_table(tmp_path / "cache", key, file_digests(backwards))
    assert found is not None
    assert found.digests == made.digests[::-1]
    assert np.array_equal(found.training, made.training[::-1], equal_nan=True)
    assert np.array_equal(found.measuring, made.measuring[::-1], equal_nan=True)
    assert len({row.tobytes() for row in made.measuring}) == len(images)
