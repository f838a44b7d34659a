"""Recipes of networks: what is refused, and where it is said to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from d2f.api.errors import D2FError
from d2f.train.read import read_recipe
from d2f.train.recipe import NetworkRecipe
from tests.unit.train.network_toys import catalog, recipe


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
