"""A kept table serves the same images in another order."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest

from d2f.cache import caching
from d2f.data.dataset import Dataset, load_dataset
from d2f.data.groups import file_sha256
from d2f.plugins.catalog import Catalog, _digest
from d2f.train.read import read_recipe
from d2f.train.table import FeatureMaker, cache_table, cached_table, make_table, table_key
from tests.unit.train.estimator_toys import CATALOG, RECIPE, Halving, Roughness, Shift, make_images, write_recipe


def file_digests(images):
    return tuple(file_sha256(image.path) for image in images)


def test_rows_follow_the_set_that_asks(tmp_path):
    images = load_dataset(str(make_images(tmp_path)))
    backwards = Dataset(tuple(reversed(images)))
    maker = FeatureMaker(read_recipe(write_recipe(tmp_path), CATALOG), CATALOG)
    key = table_key(maker, images, file_digests(images))
    assert key is not None
    assert key == table_key(maker, backwards, file_digests(backwards))
    made = make_table(images, maker, CATALOG, 1, lambda *_: None)
    with caching(tmp_path / "cache") as cache:
        assert cached_table(cache, key, file_digests(images)) is None
        assert cache_table(cache, key, made) == ""
        found = cached_table(cache, key, file_digests(backwards))
    assert found is not None
    assert found.digests == made.digests[::-1]
    assert np.array_equal(found.training, made.training[::-1], equal_nan=True)
    assert np.array_equal(found.measuring, made.measuring[::-1], equal_nan=True)
    assert len({row.tobytes() for row in made.measuring}) == len(images)


@pytest.mark.parametrize("changed", ["trainable", "augment", "measure", "version"])
def test_a_cached_table_is_made_anew_where_the_code_of_anything_in_it_has_changed(tmp_path, monkeypatch, changed):
    """The trainable, each stage of `augment` and `measure`, one-file plugins among them, and d2f itself."""
    images, digests = load_dataset(str(make_images(tmp_path))), None
    stages = {}
    for part, wanted in (("trainable", Roughness), ("augment", Shift), ("measure", Halving)):
        (tmp_path / f"d2f_own_{part}.py").write_text("# first", "utf-8")
        stages[part] = type(wanted.__name__, (wanted,), {"__module__": f"d2f_own_{part}"})
        module = ModuleType(f"d2f_own_{part}")
        module.__file__ = str(tmp_path / f"d2f_own_{part}.py")
        monkeypatch.setitem(sys.modules, module.__name__, module)
    catalog = Catalog.of(*stages.values())
    text = RECIPE.replace('["shift:5", halving]', "[halving]")
    digests = file_digests(images)

    def key():
        _digest.cache_clear()
        return table_key(FeatureMaker(read_recipe(write_recipe(tmp_path, text), catalog), catalog), images, digests)

    before = key()
    assert before == key()
    if changed == "version":
        monkeypatch.setattr("d2f.cache.__version__", "0.0.0")
    else:
        (tmp_path / f"d2f_own_{changed}.py").write_text("# second", "utf-8")
    assert before != key()
    _digest.cache_clear()
