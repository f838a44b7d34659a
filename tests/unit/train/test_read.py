from __future__ import annotations

import pytest

from d2f import D2FError
from d2f.train.read import read_recipe
from d2f.train.recipe import recipe_digest
from tests.unit.train.estimator_toys import CATALOG, RECIPE, write_recipe


def problems(folder, old, new):
    assert old in RECIPE
    with pytest.raises(D2FError) as caught:
        read_recipe(write_recipe(folder, RECIPE.replace(old, new)), CATALOG)
    return caught.value.problems


def test_a_recipe_says_what_is_written_and_defaults_for_the_rest(tmp_path):
    recipe = read_recipe(write_recipe(tmp_path), CATALOG)
    assert recipe.train == "roughness"
    assert recipe.copies.windows == [64, 96]
    assert recipe.copies.qualities == [70, 98]
    assert [entry.steps for entry in recipe.augment] == ["", "shift:3"]
    assert (recipe.balance, recipe.folds, recipe.seed) == (0.5, 3, 7)


@pytest.mark.parametrize(
    ("old", "new", "code", "line", "says"),
    [
        ("folds: 3", "fold: 3", "D2F606", 9, "unknown key 'fold'"),
        ("folds: 3", "folds: one", "D2F606", 9, "folds must be"),
        ("folds: 3", "folds: 1", "D2F606", 9, "folds must be"),
        ("share: 1}", "share: 0}", "D2F606", 6, "augment[0].share must be"),
        ("windows: [64, 96]", "windows: 64", "D2F606", 4, "copies.windows must be"),
        ("windows: [64, 96]", "windows: [96, 64]", "D2F606", 4, "copies.windows must be two whole numbers, the lesser"),
        ("windows: [64, 96]", "qualities: [80, 300]", "D2F606", 4, "copies.qualities must be two JPEG qualities"),
        ("train: roughness\n", "\n", "D2F606", 0, "the key 'train' is missing"),
        ("train: roughness", "train: roughnes", "D2F607", 2, "unknown trainable 'roughnes'"),
        ("shift:3", "shfit", "D2F111", 7, "unknown preprocessor 'shfit'"),
        ("shift:3", "shift:30", "D2F114", 7, "option 'by' must be"),
        ("shift:5", "shift:bye=5", "D2F114", 8, "unknown option 'bye'"),
        ("seed: 7", "seed: 7\n    seed: 8", "D2F101", 11, "stands in line 10 and again in line 11"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, old, new, code, line, says):
    found = problems(tmp_path, old, new)
    assert found[0].code == code
    assert says in found[0].message
    assert found[0].place.file.endswith("recipe.yaml")
    assert found[0].place.line == line


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    found = problems(tmp_path, "folds: 3\n    seed: 7", "folds: 0\n    seed: -1\n    colour: red")
    assert len(found) == 3


def test_the_digest_follows_the_meaning_and_not_the_writing(tmp_path):
    first = recipe_digest(read_recipe(write_recipe(tmp_path), CATALOG))
    spaced = RECIPE.replace("folds: 3\n", "folds:   3   # three\n").replace("part: all", "part: all, folder: elsewhere")
    assert recipe_digest(read_recipe(write_recipe(tmp_path, spaced), CATALOG)) == first
    other = RECIPE.replace("seed: 7", "seed: 8")
    assert recipe_digest(read_recipe(write_recipe(tmp_path, other), CATALOG)) != first
