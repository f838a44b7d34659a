"""Recipes: read strictly, every problem at once with its place; their digest."""

from __future__ import annotations

from pathlib import Path

import pytest

from d2f import D2FError
from d2f.train.read import read_recipe
from d2f.train.recipe import NetworkRecipe, recipe_digest
from tests.unit.train.estimator_toys import CATALOG, RECIPE, write_recipe
from tests.unit.train.network_toys import catalog, recipe


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


# Recipes of networks: what is refused, and where it is said to be.


def read(folder: Path, text: str) -> NetworkRecipe:
    file = folder / "recipe.yaml"
    file.write_text(text)
    made = read_recipe(file, catalog())
    assert isinstance(made, NetworkRecipe)
    return made


def test_a_trainable_with_build_has_the_keys_of_networks(tmp_path: Path) -> None:
    made = read(tmp_path, "d2f: 1\ntrain: toy-network\nwith: {logits: 2}\nbatch: 4\nmemory: 1.5GB\n")
    assert (made.batch, made.with_, made.memory_bytes) == (4, {"logits": 2}, 1_500_000_000)


def test_every_mistake_is_told_at_its_place(tmp_path: Path) -> None:
    text = "d2f: 1\ntrain: toy-network\noptimizer: {rate: 0.1}\ntiles: {pick: centr}\nmemory: much\nwith: {logit: 2}\n"
    with pytest.raises(D2FError) as caught:
        read(tmp_path, text)
    found = [(problem.code, problem.place and problem.place.line) for problem in caught.value.problems]
    assert sorted(found, key=str) == [("D2F114", 6), ("D2F606", 3), ("D2F606", 4), ("D2F606", 5)]
    said = str(caught.value)
    assert "did you mean 'optimiser'?" in said
    assert "did you mean 'centre'?" in said
    assert "must be a number with MB, GB, MiB or GiB, not 'much'" in said


@pytest.mark.parametrize(
    ("augment", "code", "line"),
    [
        ("- {use: jpg}", "D2F111", 4),
        ("- {use: flip, with: {axes: vertical}}", "D2F114", 4),
        ("- {use: jpeg, draw: {quality: [60, 900]}}", "D2F114", 4),
        ("- {probability: 0.5}", "D2F606", 4),
        ("- {use: flip, probability: 1.5}", "D2F606", 4),
    ],
)
def test_a_wrong_augmentation_is_told_before_training(tmp_path: Path, augment: str, code: str, line: int) -> None:
    with pytest.raises(D2FError) as caught:
        read(tmp_path, f"d2f: 1\ntrain: toy-network\naugment:\n  {augment}\n")
    (problem,) = caught.value.problems
    assert (problem.code, problem.place and problem.place.line) == (code, line)


@pytest.mark.parametrize(("name", "meant"), [("filp", "flip"), ("cutout", "cut-out"), ("resise", "resize")])
def test_a_misspelt_operation_is_told_from_both_rooms(tmp_path: Path, name: str, meant: str) -> None:
    with pytest.raises(D2FError) as caught:
        read(tmp_path, f"d2f: 1\ntrain: toy-network\naugment:\n  - {{use: {name}}}\n")
    assert f"did you mean '{meant}'?" in str(caught.value)
    assert str(caught.value).count("did you mean") == 1


@pytest.mark.parametrize(
    ("copies", "said"),
    [
        ("windows: [128, 96]", "copies.windows must be two whole numbers, the lesser first, not [128, 96]"),
        ("qualities: [98, 80]", "copies.qualities must be two whole numbers, the lesser first, not [98, 80]"),
        ("qualities: [80, 300]", "copies.qualities must be two JPEG qualities from 1 to 100, not [80, 300]"),
    ],
)
def test_bounds_that_are_none_are_told_with_their_key(tmp_path: Path, copies: str, said: str) -> None:
    with pytest.raises(D2FError) as caught:
        read(tmp_path, f"d2f: 1\ntrain: toy-network\ncopies: {{{copies}}}\n")
    (problem,) = caught.value.problems
    assert (problem.code, problem.message, problem.place and problem.place.line) == ("D2F606", said, 3)


def test_an_unknown_trainable_and_a_wrong_option_are_located(tmp_path: Path) -> None:
    with pytest.raises(D2FError, match="unknown trainable 'toy-netwrk'") as caught:
        read(tmp_path, "d2f: 1\ntrain: toy-netwrk\n")
    assert caught.value.problems[0].code == "D2F607"
    with pytest.raises(D2FError, match="unknown option 'logit'") as caught:
        read(tmp_path, "d2f: 1\ntrain: toy-network\nwith: {logit: 2}\n")
    assert caught.value.problems[0].place is not None
    assert caught.value.problems[0].place.line == 3


def test_an_attack_to_measure_is_checked(tmp_path: Path) -> None:
    with pytest.raises(D2FError) as caught:
        read(tmp_path, "d2f: 1\ntrain: toy-network\nmeasure: ['jpeg:60', 'jpeg:6000']\n")
    assert caught.value.problems[0].place is not None
    assert caught.value.problems[0].place.path == "measure[1]"


def test_a_recipe_is_changed_at_dotted_keys() -> None:
    made = recipe(optimiser__rate=0.5, augment=[{"use": "flip"}]).changed({"augment.0.probability": 0.25})
    assert (made.optimiser.rate, made.augment[0].probability) == (0.5, 0.25)
