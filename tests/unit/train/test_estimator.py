"""An estimator from images to weights, its cross-validation and its figures."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest

from d2f import D2FError
from d2f.cache import features
from d2f.data.dataset import Dataset, Labelled, load_dataset
from d2f.data.groups import components, digest, digest_of, folds, shipped_split
from d2f.files import file_sha256
from d2f.images.read import read_image
from d2f.plugins.catalog import Catalog
from d2f.train.estimator import FOLDS, fit_rows, out_of_fold_scores, predict
from d2f.train.folder import LOG, read_log
from d2f.train.read import read_recipe
from d2f.train.recipe import recipe_digest
from d2f.train.report import validation_figures
from d2f.train.run import SilentWatcher, TrainRequest, train_model
from d2f.train.table import FeatureTable, VariantMaker
from d2f.weights import read_weights, short_digests
from tests.full_disk import full_disk
from tests.unit.train.estimator_toys import (
    CATALOG,
    RECIPE,
    Heard,
    Roughness,
    RoughnessOptions,
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
        return train_model(recipe, catalog, request, SilentWatcher())

    whole = run("whole.safetensors")
    monkeypatch.setattr(Costly, "computed", 0)
    monkeypatch.setattr(Costly, "last", 40)
    with pytest.raises(KeyboardInterrupt):
        run("ended.safetensors", cache)
    monkeypatch.setattr(Costly, "last", 10**9)
    again = run("again.safetensors", cache)
    assert again.sha256 == whole.sha256
    assert 40 < Costly.computed <= 24 * 5  # copies that are alike are computed once


class Recorder:
    """Keeps what it was fitted to; scores are the mean of the features less that of the fit."""

    def __init__(self):
        self.seen = []

    def fit(self, features, labels, weights, seed):
        self.seen.append((features, labels, weights, seed))
        return {"mean": features.mean(axis=0)}

    def predict(self, arrays, features):
        return (features - arrays["mean"]).mean(axis=1)


def table(images=6, copies=3, width=2, seed=0):
    random = np.random.default_rng(seed)
    training = random.normal(size=(images, copies, width))
    training[1, 2] = np.nan
    measuring = random.normal(size=(images, 2, width))
    measuring[4, 1] = np.nan
    return FeatureTable(tuple("0" * 64 for _ in range(images)), training, measuring)


LABELS = np.array([0, 1, 0, 1, 0, 1], dtype=np.int8)


WEIGHTS = np.arange(1.0, 7.0)


def test_each_copy_has_its_images_label_and_weight_and_absent_ones_are_left_out():
    recorder = Recorder()
    fit_rows(recorder, table().training, LABELS, WEIGHTS, 3)
    features, labels, weights, seed = recorder.seen[0]
    assert features.shape == (17, 2)
    assert labels.tolist() == [0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1]
    assert weights.tolist() == [1, 1, 1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6, 6]
    assert seed == 3


def test_scores_are_of_models_that_saw_nothing_of_the_fold():
    made, recorder, told = table(), Recorder(), []
    fold = np.array([0, 0, 1, 1, 2, 2])
    scores = out_of_fold_scores(recorder, made, LABELS, WEIGHTS, fold, 0, lambda *each: told.append(each))
    assert [number for number, _ in told] == [0, 1, 2]
    for number, arrays in told:
        assert arrays["mean"] == pytest.approx(np.nanmean(made.training[fold != number].reshape(-1, 2), axis=0))
    for image in range(6):
        others = made.training[fold != fold[image]].reshape(-1, 2)
        mean = np.nanmean(others, axis=0)
        expected = (made.measuring[image] - mean).mean(axis=1)
        assert scores[image] == pytest.approx(expected, nan_ok=True)
    assert np.isnan(scores[4, 1])
    assert np.isnan(scores).sum() == 1


def test_predictions_keep_the_place_of_what_is_absent():
    features = np.ones((2, 2, 3))
    features[1, 0] = np.nan
    found = predict(Recorder(), {"mean": np.zeros(3)}, features)
    assert np.array_equal(found, [[1, 1], [np.nan, 1]], equal_nan=True)


# The weights of a cross-validation, kept for chains that are fitted to the same images.


def kept_folds_run(folder: Path, images: Path, text: str = RECIPE, name: str = "toy"):
    recipe = read_recipe(write_recipe(folder, text), CATALOG)
    made = fitted(recipe, folder / f"{name}.safetensors", images)
    return recipe, made, made.folder / FOLDS


def test_each_file_has_seen_all_images_but_a_fold_and_gives_the_cross_validated_scores(tmp_path, images, monkeypatch):
    judged = []
    monkeypatch.setattr(
        "d2f.train.estimator.out_of_fold_scores", lambda *given: judged.append(out_of_fold_scores(*given)) or judged[0]
    )
    recipe, _, keep = kept_folds_run(tmp_path, images)
    dataset, maker = load_dataset(images), VariantMaker(recipe, CATALOG)
    fold = folds(components(dataset), dataset.labels, recipe.folds, recipe.seed)
    model = Roughness(RoughnessOptions())
    assert sorted(path.name for path in keep.iterdir()) == [f"fold-{k}.safetensors" for k in (1, 2, 3)]
    scores = np.full((len(dataset), 3), np.nan)
    for number in range(3):
        held = read_weights(keep / f"fold-{number + 1}.safetensors")
        digests = {i: file_sha256(image.path) for i, image in enumerate(dataset)}
        seen = {i: sha256 for i, sha256 in digests.items() if fold[i] != number}
        assert held.trained_on.tolist() == short_digests(seen.values()).tolist()
        assert held.metadata["without_fold"] == str(number + 1)
        assert held.metadata["images"] == str(len(seen))
        assert held.metadata["collections"] == str(len({dataset[i].collection for i in seen}))
        assert held.metadata["data"] == digest_of((sha256, dataset[i].label) for i, sha256 in seen.items())
        for i in set(digests) - set(seen):
            found = [model.features(copy) for copy in maker.measuring(read_image(dataset[i].path))]
            scores[i] = [np.nan if each is None else model.predict(held.arrays, each[None])[0] for each in found]
    (expected,) = judged
    assert np.array_equal(scores, expected, equal_nan=True)
    assert 24 * 2 < np.isfinite(scores).sum() < 24 * 3


def test_a_run_of_fewer_folds_leaves_none_of_an_earlier_one(tmp_path, images):
    _, made, keep = kept_folds_run(tmp_path, images)
    assert "without_fold" not in read_weights(made.weights).metadata
    kept_folds_run(tmp_path, images, RECIPE.replace("folds: 3", "folds: 2"))
    assert {path.name for path in keep.iterdir()} == {"fold-1.safetensors", "fold-2.safetensors"}
    assert {read_weights(path).metadata["images"] for path in keep.iterdir()} == {"12"}


def dataset(*images):
    return Dataset(tuple(Labelled(str(i), label, "", "", collection) for i, (label, collection) in enumerate(images)))


SET = dataset((0, "a"), (1, "a"), (0, "a"), (1, "a"), (0, "b"), (1, "b"), (0, "c"), (1, "d"))


def test_figures_are_over_all_and_within_each_two_class_collection():
    scores = np.array([-1.0, 1.0, 0.5, 0.2, 3.0, 2.0, -2.0, -3.0])
    found = validation_figures(SET, scores)
    real, generated = scores[SET.labels == 0], scores[SET.labels == 1]
    assert found.auc == pytest.approx(np.mean(generated[:, None] > real[None]))
    assert found.balanced_accuracy == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert found.collections == {"a": 0.75, "b": 0.0}
    assert found.two_class_auc == pytest.approx(0.375)
    assert found.images == 8
    assert found.confusion == [[2, 2], [1, 3]]
    assert found.accuracy == 0.625
    assert found.f1 == pytest.approx(2 * 3 / (2 * 3 + 2 + 1))
    assert found.generators == {"real": 0.5, "unnamed": 0.75}


def test_of_what_training_watches_less_is_better():
    found = validation_figures(SET, np.arange(8.0), loss=0.7)
    assert found.watched("loss") == 0.7
    assert found.watched("auc") == -found.auc < 0
    assert validation_figures(SET, np.arange(8.0)).watched("loss") == math.inf


def test_images_without_a_score_are_left_out():
    scores = np.array([-1.0, 1.0, np.nan, np.nan, 3.0, np.nan, -2.0, -3.0])
    found = validation_figures(SET, scores)
    assert found.images == 5
    assert found.collections == {"a": 1.0}


def test_without_a_two_class_collection_there_is_no_figure_of_them():
    found = validation_figures(dataset((0, "a"), (1, "b")), np.array([0.0, 1.0]))
    assert math.isnan(found.two_class_auc)
