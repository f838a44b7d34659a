from __future__ import annotations

import numpy as np

from d2f.data.protocol import fitting, judging
from d2f.engine.views import apply_steps
from d2f.images.read import read_image
from d2f.plugins.catalog import Catalog
from d2f.train.augment import loaded_steps
from d2f.train.read import read_recipe
from d2f.train.table import VariantMaker
from tests.unit.train.estimator_toys import CATALOG, RECIPE, Halving, Roughness, Shift, make_images, write_recipe


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
