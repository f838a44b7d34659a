"""The weights of a cross-validation, kept for chains that are fitted to the same images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from d2f import D2FError
from d2f.data.dataset import load_dataset
from d2f.data.groups import components, digest_of, file_sha256
from d2f.data.split import folds
from d2f.images.read import read_image
from d2f.train.estimator import FoldFolder, out_of_fold
from d2f.train.read import read_recipe
from d2f.train.table import VariantMaker
from d2f.weights import read_weights, short_digests, write_weights
from tests.unit.train.estimator_toys import (
    CATALOG,
    RECIPE,
    Heard,
    Roughness,
    RoughnessOptions,
    fitted,
    make_images,
    write_recipe,
)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    return make_images(folder)


def run(folder: Path, images: Path, text: str = RECIPE, name: str = "toy"):
    recipe = read_recipe(write_recipe(folder, text), CATALOG)
    keep = folder / "kept" / "folds"
    return recipe, fitted(recipe, folder / f"{name}.safetensors", images, oof_folds=keep), keep


def test_each_file_has_seen_all_images_but_a_fold_and_gives_the_cross_validated_scores(tmp_path, images, monkeypatch):
    judged = []
    monkeypatch.setattr(
        "d2f.train.estimator.out_of_fold", lambda *given: judged.append(out_of_fold(*given)) or judged[0]
    )
    recipe, _, keep = run(tmp_path, images)
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


def test_keeping_folds_changes_nothing_else(tmp_path, images):
    recipe, kept, _ = run(tmp_path, images)
    plain = fitted(recipe, tmp_path / "plain.safetensors", images)
    assert plain.sha256 == kept.sha256
    assert "without_fold" not in read_weights(kept.weights).metadata


def test_a_run_of_fewer_folds_leaves_none_of_an_earlier_one_and_nothing_else_is_touched(tmp_path, images):
    _, _, keep = run(tmp_path, images)
    others = {"fold-9.safetensors": {"d2f": "1"}, "mine.safetensors": {"without_fold": "1"}}
    for name, facts in others.items():
        write_weights(keep / name, {"bias": np.zeros(2)}, facts)
    (keep / "fold-8.safetensors").write_text("no weights", "utf-8")
    (keep / "fold-7.safetensors").mkdir()
    run(tmp_path, images, RECIPE.replace("folds: 3", "folds: 2"))
    left = {path.name for path in keep.iterdir()}
    kept = {"fold-1.safetensors", "fold-2.safetensors"}
    assert left == {*kept, *others, "fold-8.safetensors", "fold-7.safetensors"}
    assert {read_weights(keep / name).metadata["images"] for name in kept} == {"12"}


def test_a_file_that_cannot_be_removed_is_told(tmp_path, images, monkeypatch):
    _, _, keep = run(tmp_path, images)

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(D2FError, match=r"D2F004.*fold-1.safetensors' cannot be removed: Permission denied"):
        FoldFolder(keep).clear()


def test_the_weights_themselves_stand_elsewhere(tmp_path, images):
    recipe = read_recipe(write_recipe(tmp_path), CATALOG)
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(D2FError, match=r"D2F004.*is where the weights of a fold are written"):
        fitted(recipe, tmp_path / "fold-2.safetensors", images, oof_folds=tmp_path / "link")


def test_a_folder_that_cannot_be_made_is_told_before_the_work(tmp_path, images):
    recipe, watcher = read_recipe(write_recipe(tmp_path), CATALOG), Heard()
    (tmp_path / "file").write_text("mine", "utf-8")
    with pytest.raises(D2FError, match=r"D2F004.*'.*file' is a file, not a folder"):
        fitted(recipe, tmp_path / "a.safetensors", images, watcher, oof_folds=tmp_path / "file" / "folds")
    assert watcher.lines == []
