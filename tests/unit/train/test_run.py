from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from d2f import D2FError
from d2f.cache import features
from d2f.data.dataset import load_dataset
from d2f.data.groups import digest
from d2f.data.split import shipped_split
from d2f.plugins.catalog import Catalog
from d2f.train.folder import LOG, read_log
from d2f.train.read import read_recipe
from d2f.train.recipe import recipe_digest
from d2f.train.run import SilentWatcher, TrainRequest, train
from d2f.weights import read_weights, short_digests
from tests.full_disk import full_disk
from tests.unit.train.estimator_toys import (
    CATALOG,
    RECIPE,
    Heard,
    Roughness,
    Shift,
    fitted,
    make_images,
    write_recipe,
)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    return make_images(folder)


def run(folder: Path, images: Path, text: str = RECIPE, name: str = "toy", **more):
    recipe = read_recipe(write_recipe(folder, text), CATALOG)
    return recipe, fitted(recipe, folder / f"{name}.safetensors", images, **more)


def test_weights_carry_the_recipe_the_data_and_the_training_images(tmp_path, images):
    recipe, trained = run(tmp_path, images)
    held = read_weights(trained.weights)
    dataset = load_dataset(images)
    assert held.sha256 == trained.sha256
    assert held.metadata["recipe"] == recipe_digest(recipe)
    assert held.metadata["data"] == digest(dataset)
    assert (held.metadata["images"], held.metadata["seed"], held.metadata["part"]) == ("24", "7", "all")
    digests = (hashlib.sha256(Path(image.path).read_bytes()).hexdigest() for image in dataset)
    assert np.array_equal(held.trained_on, short_digests(digests))
    assert held.arrays["rows"] == 3 * 24


def test_the_same_recipe_and_images_give_the_same_bytes(tmp_path, images):
    first, second = (run(tmp_path, images, name=name)[1] for name in ("one", "two"))
    assert first.weights.read_bytes() == second.weights.read_bytes()
    other = run(tmp_path, images, RECIPE.replace("seed: 7", "seed: 8"), "three")[1]
    assert other.sha256 != first.sha256


def test_figures_are_measured_clean_and_under_each_attack(tmp_path, images):
    _, trained = run(tmp_path, images)
    assert list(trained.figures) == ["clean", "shift:5", "halving"]
    clean, shifted, halved = trained.figures.values()
    assert clean.auc == clean.two_class_auc == 1.0
    assert shifted.images == clean.images == 24
    assert sorted(clean.collections) == [f"c{i}" for i in range(6)]
    # The toy has no features of pictures of less than 60 rows: of 80 to 120, halved, only 120 is left.
    assert halved.images == 4


def test_the_run_folder_is_that_of_every_run_and_is_made_anew(tmp_path, images):
    _, first = run(tmp_path, images, name="one")
    names = {path.name for path in first.folder.iterdir()}
    assert names >= {"run.json", "recipe.json", "environment.json", "log.jsonl", "card.md", "mistakes.html"}
    log = (first.folder / LOG).read_text("utf-8")
    events = [json.loads(line) for line in log.splitlines()]
    assert [event["event"] for event in events] == ["start", *["cross-validation"] * 3, "end"]
    assert events[1]["auc"] == 1.0
    assert events[-1]["sha256"] == first.sha256
    assert "| shift:5 | 24 |" in (first.folder / "card.md").read_text("utf-8")
    run(tmp_path, images, name="one")
    assert (first.folder / LOG).read_text("utf-8") == log
    run(tmp_path, images, RECIPE.replace("seed: 7", "seed: 8"), name="one")
    assert read_log(first.folder / LOG, "end")[0]["sha256"] != first.sha256


def test_the_measured_copies_are_fitted_to_as_often_as_the_recipe_says(tmp_path, images):
    _, trained = run(tmp_path, images, RECIPE.replace("judging: 1,", "judging: 1, measured: 2,"))
    # Of three measured copies the halved one has features for 4 of 24 images.
    assert read_weights(trained.weights).arrays["rows"] == 3 * 24 + 2 * (24 + 24 + 4)


def test_a_kept_table_serves_recipes_that_differ_in_the_fit_only(tmp_path, images):
    cache = tmp_path / "cache"
    _, first = run(tmp_path, images, cache=cache)
    (kept,) = cache.glob("*.npz")
    stamp = kept.stat().st_mtime_ns
    refitted = RECIPE.replace("folds: 3", "balance: 0.0\n    folds: 3").replace(
        "judging: 1,", "judging: 1, measured: 1,"
    )
    _, second = run(tmp_path, images, refitted, "two", cache=cache)
    assert [path.stat().st_mtime_ns for path in cache.glob("*.npz")] == [stamp]
    assert [read_weights(each.weights).arrays["rows"] for each in (first, second)] == [72, 72 + 24 + 24 + 4]
    run(tmp_path, images, RECIPE.replace("shift:3", "shift:4"), "three", cache=cache)
    assert len(list(cache.glob("*.npz"))) == 2


def test_a_full_disk_is_told(tmp_path, images):
    read = read_recipe(write_recipe(tmp_path), CATALOG)
    with full_disk(), pytest.raises(D2FError, match=r"D2F004.*toy.run/recipe.json' cannot be written: File too large"):
        fitted(read, tmp_path / "toy.safetensors", images)
    assert not (tmp_path / "toy.safetensors").exists()


def test_features_that_cannot_be_kept_are_used_nevertheless(tmp_path, images):
    cache, watcher = tmp_path / "cache", Heard()
    recipe, first = run(tmp_path, images, name="one", cache=cache)
    (kept,) = cache.glob("*.npz")
    kept.unlink()
    kept.mkdir()
    made = fitted(recipe, tmp_path / "two.safetensors", images, watcher, cache=cache)
    assert made.sha256 == first.sha256
    (line,) = [line for line in watcher.lines if "not cached" in line]
    assert line.endswith("Is a directory")
    assert not list(cache.glob("*.part*"))


def test_progress_is_told_image_by_image(tmp_path, images):
    recipe, watcher = read_recipe(write_recipe(tmp_path), CATALOG), Heard()
    fitted(recipe, tmp_path / "toy.safetensors", images, watcher)
    assert watcher.counts == [(i + 1, 24) for i in range(24)]
    assert watcher.lines[0].startswith("24 images: 12 real, 12 generated")
    assert watcher.lines[1:4] == [f"cross-validation: fold {i} of 3" for i in (1, 2, 3)]


@pytest.mark.parametrize(
    ("data", "name", "code"),
    [
        (None, "toy.safetensors", "D2F606"),
        ("nowhere", "toy.safetensors", "D2F002"),
        ("images", "toy.npz", "D2F004"),
        ("images", "images/0-0.png/toy.safetensors", "D2F004"),
    ],
)
def test_what_cannot_be_trained_is_refused(tmp_path, images, data, name, code):
    recipe = read_recipe(write_recipe(tmp_path), CATALOG)
    with pytest.raises(D2FError, match=code):
        fitted(recipe, tmp_path / name, tmp_path / data if data else None)


def test_the_fixed_split_is_used_where_the_recipe_asks_for_a_part(tmp_path, images):
    _, trained = run(tmp_path, images, RECIPE.replace("part: all", "part: weights").replace("folds: 3", "folds: 2"))
    part = shipped_split(load_dataset(images)).weights
    assert 0 < len(part) < 24
    assert int(read_weights(trained.weights).metadata["images"]) == len(part)


class Costly(Roughness):
    """A model whose features pass through `d2f.cache`, and that can be made to die on its way."""

    name = "costly"
    computed = 0
    last = 10**9

    def features(self, pixels: np.ndarray) -> np.ndarray | None:
        return features("costly", pixels[None, :60, :60], self._compute)[0].astype(float)

    def _compute(self, pictures: np.ndarray) -> np.ndarray:
        if Costly.computed >= Costly.last:
            raise KeyboardInterrupt
        Costly.computed += len(pictures)
        return np.stack([Roughness.features(self, picture) for picture in pictures]).astype(np.float32)


def test_a_run_that_was_ended_finds_the_costly_features_again(tmp_path, images, monkeypatch):
    catalog = Catalog.of(Costly, Shift)
    text = RECIPE.replace("train: roughness", "train: costly").replace(", halving", "")
    recipe, cache = read_recipe(write_recipe(tmp_path, text), catalog), tmp_path / "cache"

    def run(name, cache=None):
        request = TrainRequest(tmp_path / name, str(images), cache=cache)
        return train(recipe, catalog, request, SilentWatcher())

    whole = run("whole.safetensors")
    monkeypatch.setattr(Costly, "computed", 0)
    monkeypatch.setattr(Costly, "last", 40)
    with pytest.raises(KeyboardInterrupt):
        run("ended.safetensors", cache)
    monkeypatch.setattr(Costly, "last", 10**9)
    again = run("again.safetensors", cache)
    assert again.sha256 == whole.sha256
    assert 40 < Costly.computed <= 24 * 5  # copies that are alike are computed once
