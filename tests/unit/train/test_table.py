"""Variants of images, their table of features, and the key that it is cached by."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from d2f import D2FError
from d2f.cache import caching
from d2f.data.dataset import Dataset, load_dataset
from d2f.data.protocol import fitting, judging
from d2f.engine.views import apply_steps
from d2f.files import file_sha256
from d2f.images.read import read_image
from d2f.plugins.catalog import Catalog, _package_digest
from d2f.train.augment import loaded_steps
from d2f.train.read import read_recipe
from d2f.train.recipe import recipe_digest
from d2f.train.table import FeatureMaker, VariantMaker, cache_table, cached_table, make_table, table_key
from tests.unit.train.estimator_toys import (
    CATALOG,
    RECIPE,
    Halving,
    Heard,
    Roughness,
    Shift,
    fitted,
    make_images,
    write_recipe,
)


def maker(folder, text=RECIPE):
    return VariantMaker(read_recipe(write_recipe(folder, text), CATALOG), CATALOG)


def test_measuring_copies_are_the_judging_copy_and_attacks_applied_to_it(tmp_path):
    image = read_image(str(make_images(tmp_path) / "0-0.png"))
    clean, shifted, halved = maker(tmp_path).measuring(image)
    assert np.array_equal(clean, judging(image).pixels)
    assert np.array_equal(shifted, np.minimum(clean.astype(int) + 5, 255))
    assert np.array_equal(halved, clean[::2])


def test_training_copies_are_matched_ones_at_random_and_judging_ones_each_perhaps_laundered(tmp_path):
    image = read_image(str(make_images(tmp_path) / "3-1.png"))
    copies = maker(tmp_path)
    expected = [fitting(image, 7000 + number, (64, 96), (70, 98)).pixels for number in range(2)]
    for copy, plain in zip(copies.training(image), [*expected, judging(image).pixels], strict=True):
        added = copy.astype(int) - plain.astype(int)
        assert copy.shape == plain.shape
        assert added.min() >= 0
        assert added.max() in (0, 3)


def test_as_found_a_model_is_fitted_to_the_pixels_of_the_file(tmp_path):
    image = read_image(str(make_images(tmp_path) / "0-0.png"))
    found = "copies: {protocol: as-found, fitting: 0, judging: 1}"
    text = RECIPE.replace("copies: {protocol: crop, fitting: 2, judging: 1, windows: [64, 96]}", found)
    copies = maker(tmp_path, text)
    (copy,) = copies.training(image)
    assert copy.shape == image.pixels.shape
    assert (copy.astype(int) - image.pixels).max() in (0, 3)
    assert np.array_equal(copies.measuring(image)[0], image.pixels)


@pytest.mark.parametrize("copies", ["fitting: 1", "fitting: 0, judging: 0"])
def test_as_found_nothing_is_drawn_and_something_is_fitted_to(tmp_path, copies):
    text = RECIPE.replace("protocol: crop, fitting: 2, judging: 1", f"protocol: as-found, {copies}")
    with pytest.raises(D2FError, match=r"needs `fitting: 0`|nothing would be fitted to"):
        maker(tmp_path, text)


def test_augmentations_are_drawn_by_their_shares(tmp_path):
    text = RECIPE.replace("fitting: 2, judging: 1", "fitting: 0, judging: 200").replace("- {share: 1}", "- {share: 3}")
    image = read_image(str(make_images(tmp_path) / "1-0.png"))
    plain = judging(image).pixels
    laundered = sum(not np.array_equal(copy, plain) for copy in maker(tmp_path, text).training(image))
    assert 30 <= laundered <= 70


def test_copies_repeat_and_differ_between_seeds(tmp_path):
    image = read_image(str(make_images(tmp_path) / "1-0.png"))
    first, again = maker(tmp_path).training(image), maker(tmp_path).training(image)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    other = maker(tmp_path, RECIPE.replace("seed: 7", "seed: 8")).training(image)
    assert not all(a.shape == b.shape and np.array_equal(a, b) for a, b in zip(first, other, strict=True))


class Grainy:
    """Adds noise by its seed."""

    name = "grainy"
    summary = "Noise."
    Options = Halving.Options

    def __init__(self, options):
        self.loaded = False

    def load(self):
        self.loaded = True

    def apply(self, pixels, seed):
        assert self.loaded, "applied before it was loaded"
        noise = np.random.default_rng(seed).integers(-9, 10, pixels.shape)
        return np.clip(pixels.astype(int) + noise, 0, 255).astype(np.uint8)


def test_every_stage_is_loaded_and_an_attack_draws_the_benchs_noise(tmp_path):
    catalog = Catalog.of(Roughness, Grainy, Shift)
    text = RECIPE.replace('"shift:3"', "grainy").replace('["shift:5", halving]', '["grainy+shift:2", grainy]')
    image = read_image(str(make_images(tmp_path) / "0-0.png"))
    made = VariantMaker(read_recipe(write_recipe(tmp_path, text), catalog), catalog)
    assert len(made.training(image)) == 3
    for spec, found in zip(("grainy+shift:2", "grainy"), made.measuring(image)[1:], strict=True):
        assert np.array_equal(found, apply_steps(judging(image), loaded_steps(spec, catalog)))


# `copies.measured_only`: images that are fitted to clean and as `measure` says, in no copy at random.


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


# A kept table serves the same images in another order.


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
        _package_digest.cache_clear()
        return table_key(FeatureMaker(read_recipe(write_recipe(tmp_path, text), catalog), catalog), images, digests)

    before = key()
    assert before == key()
    if changed == "version":
        monkeypatch.setattr("d2f.cache.__version__", "0.0.0")
    else:
        (tmp_path / f"d2f_own_{changed}.py").write_text("# second", "utf-8")
    assert before != key()
    _package_digest.cache_clear()
