"""The weights of a cross-validation, kept for chains that are fitted to the same images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from d2f.data.dataset import load_dataset
from d2f.data.groups import components, digest_of, file_sha256
from d2f.data.split import folds
from d2f.images.read import read_image
from d2f.train.estimator import FOLDS, out_of_fold
from d2f.train.read import read_recipe
from d2f.train.table import VariantMaker
from d2f.weights import read_weights, short_digests
from tests.unit.train.estimator_toys import (
    CATALOG,
    RECIPE,
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
    made = fitted(recipe, folder / f"{name}.safetensors", images)
    return recipe, made, made.folder / FOLDS


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


def test_a_run_of_fewer_folds_leaves_none_of_an_earlier_one(tmp_path, images):
    _, made, keep = run(tmp_path, images)
    assert "without_fold" not in read_weights(made.weights).metadata
    run(tmp_path, images, RECIPE.replace("folds: 3", "folds: 2"))
    assert {path.name for path in keep.iterdir()} == {"fold-1.safetensors", "fold-2.safetensors"}
    assert {read_weights(path).metadata["images"] for path in keep.iterdir()} == {"12"}
