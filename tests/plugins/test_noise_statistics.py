"""The stage noise-statistics: its weights, its abstentions, and that a score depends on the pixels alone."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import d2f_noise_statistics
import numpy as np
import pytest
from d2f_noise_statistics.features import COUNT
from d2f_noise_statistics.planes import LARGEST
from d2f_noise_statistics.stage import RECORDS

from d2f import D2FError, Detector, EstimatorTrainable, Needs, WholeImage
from d2f.plugins.build import build
from d2f.plugins.catalog import Catalog
from d2f.train.read import read_recipe
from d2f.train.recipe import recipe_digest
from d2f.weights import read_weights, write_weights
from tests.plugins.pictures import PHOTOGRAPHS, flat_picture, noise_picture, photograph

FOLDER = Path(d2f_noise_statistics.__file__).parent


def detector(**options):
    stage = build(Catalog.discover(), "detector", "noise-statistics", options)
    stage.load()
    return stage


@pytest.fixture(scope="module")
def loaded():
    return detector()


def test_it_keeps_the_contracts(loaded):
    assert isinstance(loaded, Detector)
    assert loaded.wants == WholeImage()
    assert isinstance(build(Catalog.discover(), "trainable", "noise-statistics", {}), EstimatorTrainable)


def test_photographs_have_finite_scores_that_repeat(loaded):
    pictures = [photograph(name) for name in PHOTOGRAPHS]
    first = loaded.score(pictures)
    assert all(np.isfinite(each) for each in first)
    assert first == loaded.score(pictures)


def test_a_score_does_not_depend_on_the_batch_its_order_or_its_thread(loaded):
    pictures = [photograph(name) for name in PHOTOGRAPHS] + [noise_picture(100, 130, seed) for seed in range(3)]
    together = loaded.score(pictures)
    assert loaded.score(pictures[::-1]) == together[::-1]
    with ThreadPoolExecutor(4) as pool:
        alone = list(pool.map(lambda picture: loaded.score([picture])[0], pictures * 3))
    assert alone == together * 3


def test_pictures_are_not_written_to(loaded):
    picture = photograph().copy()
    loaded.score([picture])
    assert np.array_equal(picture, photograph())


def test_what_it_needs_of_a_view_is_what_its_features_are_of():
    needs = detector().needs
    assert needs == Needs(side=64, deviation=0.5, window=LARGEST)
    trainable = build(Catalog.discover(), "trainable", "noise-statistics", {})
    assert trainable.features(flat_picture(80, 90, 7)) is None
    assert trainable.features(noise_picture(63, 90)) is None
    assert trainable.features(noise_picture(64, 90)) is not None


def test_the_shipped_weights_are_the_recorded_ones_and_say_what_they_were_trained_on(loaded):
    held = read_weights(RECORDS[0])
    assert held.sha256 == RECORDS[0].sha256 == loaded.weights[0].sha256
    assert len(loaded.trained_on) == int(held.metadata["images"])
    assert held.metadata["part"] == "all"


def test_the_shipped_weights_were_made_by_the_shipped_recipe():
    recipe = read_recipe(FOLDER / "recipe.yaml", Catalog.discover())
    assert read_weights(RECORDS[0]).metadata["recipe"] == recipe_digest(recipe)


def test_the_card_holds_the_weights_digest():
    assert RECORDS[0].sha256 in (FOLDER / "README.md").read_text("utf-8")


@pytest.mark.skipif("D2F_DATA" not in os.environ, reason="D2F_DATA names no folder of images")
def test_the_weights_were_trained_on_the_whole_pictures_and_on_nothing_else(loaded):
    from tests.chains.fitted_set import digests, need_edition, train_set

    need_edition(loaded.trained_on)
    whole = train_set().select([i for i, image in enumerate(train_set()) if image.more["form"] in ("large", "whole")])
    assert np.array_equal(np.sort(loaded.trained_on), np.unique(digests(whole)))


def test_weights_of_another_model_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    arrays = {name: np.zeros(COUNT - 1) for name in ("centre", "deviation", "weight")}
    write_weights(path, {**arrays, "bias": np.zeros(())})
    with pytest.raises(D2FError, match="D2F504") as caught:
        detector(weights=str(path))
    assert str(COUNT) in str(caught.value)


def test_unknown_weights_are_refused():
    with pytest.raises(D2FError, match="D2F501"):
        detector(weights="defualt")


def test_the_trainable_has_features_where_the_detector_scores():
    trainable = build(Catalog.discover(), "trainable", "noise-statistics", {})
    assert trainable.features(noise_picture(64, 64)).shape == (COUNT,)
    assert trainable.features(noise_picture(63, 64)) is None
    assert trainable.features(flat_picture(64, 64)) is None
