"""`data.exclude`: images that a recipe does not train on, of estimators and of networks."""

from __future__ import annotations

from pathlib import Path

import pytest

from d2f import D2FError
from d2f.data.dataset import load_dataset
from d2f.train.images import divide, training_data
from d2f.train.read import read_recipe
from d2f.train.recipe import NetworkRecipe, recipe_digest
from d2f.weights import read_weights, short_digests
from tests.unit.train.estimator_toys import CATALOG, RECIPE, Heard, fitted, make_images, write_recipe

FORM, COLLECTION = {"column": "form", "equals": "whole"}, {"column": "collection", "equals": "c1"}


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    return str(make_images(folder))


def estimator(folder: Path, *entries: dict[str, str]):
    listed = ", ".join(f"{{column: {each['column']}, equals: '{each['equals']}'}}" for each in entries)
    text = RECIPE.replace("data: {part: all}", f"data: {{part: all, exclude: [{listed}]}}")
    return read_recipe(write_recipe(folder, text), CATALOG)


def network(*entries: dict[str, str], **data: object) -> NetworkRecipe:
    more = {"part": "all", "validation": 0.5, "exclude": list(entries), **data}
    return NetworkRecipe.model_validate({"d2f": 1, "train": "toy-network", "with": {}, "data": more})


@pytest.mark.parametrize(
    ("entries", "left"),
    [
        ((), {"c0", "c1", "c2", "c3", "c4", "c5"}),
        ((FORM,), {"c0", "c1"}),
        ((COLLECTION,), {"c0", "c2", "c3", "c4", "c5"}),
        ((FORM, COLLECTION), {"c0"}),
        (({"column": "form", "equals": ""},), {"c2", "c3", "c4", "c5"}),
        (({"column": "form", "equals": "nothing has this"},), {"c0", "c1", "c2", "c3", "c4", "c5"}),
    ],
)
def test_images_with_any_of_the_values_are_left_out_of_both_kinds(tmp_path, images, entries, left):
    for recipe in (estimator(tmp_path, *entries), network(*entries)):
        found = training_data(recipe, images)
        assert set(found.collections) == left
        assert len(found) == 4 * len(left)


def test_an_estimator_has_not_seen_them(tmp_path, images):
    recipe = estimator(tmp_path, {"column": "form", "equals": ""}, COLLECTION)
    trained = fitted(recipe, tmp_path / "toy.safetensors", images)
    held, used = read_weights(trained.weights), [one for one in load_dataset(images) if one.more["form"] == "whole"]
    assert held.metadata["images"] == "16"
    from d2f.data.groups import file_sha256

    assert held.trained_on.tolist() == short_digests(file_sha256(one.path) for one in used).tolist()


def test_of_a_network_they_neither_train_nor_validate(images):
    divided = divide(network(COLLECTION), images)
    assert len(divided.training) + len(divided.validation) == 20
    assert "c1" not in {*divided.training.collections, *divided.validation.collections}


def test_a_folder_of_its_own_validates_whole(tmp_path, images):
    (tmp_path / "more").mkdir()
    other = str(make_images(tmp_path / "more"))
    divided = divide(network(COLLECTION, validation=other, test=other), images)
    assert (len(divided.training), len(divided.validation), len(divided.test)) == (20, 24, 24)


def test_where_nothing_is_left_it_is_said(tmp_path, images):
    entries = (FORM, {"column": "form", "equals": ""})
    for recipe in (estimator(tmp_path, *entries), network(*entries)):
        with pytest.raises(D2FError, match="`exclude` leaves no image") as caught:
            training_data(recipe, images)
        (problem,) = caught.value.problems
        assert problem.code == "D2F606"
        assert problem.notes == ("each of the 24 has one of its values",)


def test_a_column_that_no_image_has_is_refused_whatever_the_value(tmp_path, images):
    there = "there are label, generator, source, collection, group, form"
    for entry in ({"column": "fomr", "equals": ""}, {"column": "camera", "equals": "x"}):
        for recipe in (estimator(tmp_path, FORM, entry), network(FORM, entry)):
            with pytest.raises(D2FError) as caught:
                training_data(recipe, images)
            (problem,) = caught.value.problems
            said = f"`data.exclude[1]` names a column that no image has: '{entry['column']}'"
            assert (problem.code, problem.message, problem.notes) == ("D2F606", said, (there,))


def test_every_column_that_a_recipe_names_is_held_to_the_images(tmp_path, images):
    more = "measured: 1, measured_only: [{column: from, equals: ''}], windows"
    emphasis = "emphasis: [{column: width, equals: '256', factor: 2}]\n    folds"
    text = RECIPE.replace("windows", more).replace("folds", emphasis)
    recipe = read_recipe(write_recipe(tmp_path, text), CATALOG)
    with pytest.raises(D2FError) as caught:
        fitted(recipe, tmp_path / "toy.safetensors", images)
    assert [(problem.code, problem.message) for problem in caught.value.problems] == [
        ("D2F606", "`copies.measured_only[0]` names a column that no image has: 'from'"),
        ("D2F606", "`emphasis[0]` names a column that no image has: 'width'"),
    ]


def test_how_many_are_left_out_is_told(tmp_path, images):
    watcher = Heard()
    fitted(estimator(tmp_path, COLLECTION), tmp_path / "toy.safetensors", images, watcher)
    assert watcher.lines[:2] == [
        "4 of 24 images are excluded (data.exclude)",
        "20 images: 10 real, 10 generated, 5 collections",
    ]
    heard: list[str] = []
    divide(network(COLLECTION), images, say=heard.append)
    assert heard == watcher.lines[:1]


def test_the_digest_knows_what_is_left_out_and_is_what_it_was_where_nothing_is(tmp_path):
    plain = recipe_digest(read_recipe(write_recipe(tmp_path), CATALOG))
    assert recipe_digest(estimator(tmp_path)) == plain
    assert recipe_digest(estimator(tmp_path, FORM)) != plain
    assert recipe_digest(network()) != recipe_digest(network(FORM))


def test_an_entry_names_column_and_value(tmp_path):
    text = RECIPE.replace("data: {part: all}", "data: {part: all, exclude: [{column: form, is: whole}]}")
    with pytest.raises(D2FError) as caught:
        read_recipe(write_recipe(tmp_path, text), CATALOG)
    assert {problem.code for problem in caught.value.problems} == {"D2F606"}
    assert "data.exclude[0]" in str(caught.value)
