"""The images of a run: excluded ones, weights, the parts, and that no picture is in two of them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from d2f import D2FError
from d2f.data.dataset import Dataset, Labelled, load_dataset, write_manifest
from d2f.testing import camera_picture
from d2f.train.images import divide, telling_fold, training_data, training_weights
from d2f.train.read import read_recipe
from d2f.train.recipe import Emphasis, NetworkRecipe, recipe_digest
from d2f.weights import read_weights, short_digests
from tests.unit.train.estimator_toys import CATALOG, RECIPE, Heard, fitted, make_images, write_recipe
from tests.unit.train.network_toys import recipe, trained, write_pictures
from tests.unit.train.test_network import Said

# `data.exclude`: images that a recipe does not train on, of estimators and of networks.


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
    for each_recipe in (estimator(tmp_path, *entries), network(*entries)):
        found = training_data(each_recipe, images)
        assert set(found.collections) == left
        assert len(found) == 4 * len(left)


def test_an_estimator_has_not_seen_them(tmp_path, images):
    recipe = estimator(tmp_path, {"column": "form", "equals": ""}, COLLECTION)
    trained = fitted(recipe, tmp_path / "toy.safetensors", images)
    held, used = read_weights(trained.weights), [one for one in load_dataset(images) if one.more["form"] == "whole"]
    assert held.metadata["images"] == "16"
    from d2f.files import file_sha256

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
    for each_recipe in (estimator(tmp_path, *entries), network(*entries)):
        with pytest.raises(D2FError, match="`exclude` leaves no image") as caught:
            training_data(each_recipe, images)
        (problem,) = caught.value.problems
        assert problem.code == "D2F606"
        assert problem.notes == ("each of the 24 has one of its values",)


def test_a_column_that_no_image_has_is_refused_whatever_the_value(tmp_path, images):
    there = "there are label, generator, source, collection, group, form"
    for entry in ({"column": "fomr", "equals": ""}, {"column": "camera", "equals": "x"}):
        for each_recipe in (estimator(tmp_path, FORM, entry), network(FORM, entry)):
            with pytest.raises(D2FError) as caught:
                training_data(each_recipe, images)
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


def dataset(*counts):
    """Return a set of (label, generator, collection, form, count)."""
    images = [
        Labelled(f"{i}-{j}", label, generator, collection, collection, more={"form": form})
        for i, (label, generator, collection, form, count) in enumerate(counts)
        for j in range(count)
    ]
    return Dataset(tuple(images))


SET = dataset((0, "", "a", "", 10), (0, "", "b", "whole", 40), (1, "x", "b", "whole", 5), (1, "y", "b", "", 20))


def sums(weights):
    edges = np.cumsum([0, 10, 40, 5, 20])
    return [weights[i:j].sum() for i, j in pairwise(edges)]


def test_at_none_sources_and_generators_are_alike():
    found = sums(training_weights(SET, 0.0))
    assert found == pytest.approx([75 / 4] * 4)


def test_at_one_images_of_a_label_are_alike():
    found = sums(training_weights(SET, 1.0))
    assert found == pytest.approx([75 / 2 * 0.2, 75 / 2 * 0.8, 75 / 2 * 0.2, 75 / 2 * 0.8])


def test_between_they_go_by_the_root_of_their_number():
    found = sums(training_weights(SET, 0.5))
    assert found[1] / found[0] == pytest.approx(2)
    assert found[3] / found[2] == pytest.approx(2)


@given(st.floats(0, 1))
def test_labels_have_one_sum_and_the_mean_is_one(balance):
    weights = training_weights(SET, balance, [Emphasis(column="form", equals="", factor=0.3)])
    assert weights.mean() == pytest.approx(1)
    assert weights[SET.labels == 0].sum() == pytest.approx(weights[SET.labels == 1].sum())


@pytest.mark.parametrize(("column", "equals"), [("form", ""), ("generator", "y")])
def test_emphasis_goes_by_columns_of_the_manifest(column, equals):
    found = sums(training_weights(SET, 0.0, [Emphasis(column=column, equals=equals, factor=3.0)]))
    assert found[3] / found[2] == pytest.approx(3)
    assert found[0] / found[1] == pytest.approx(3 if column == "form" else 1)


# The images that validate where a recipe names a share: the fold that says most.


NETWORK = NetworkRecipe.model_validate({"d2f": 1, "train": "resnet", "with": {}, "data": {"part": "all"}})


# (collection, photographs, generated images): one of each label is large, two small ones hold both.
SIZES = [("houses", 40, 0), ("faces", 0, 40), ("shop", 20, 0), ("fantasy", 0, 20), ("pairs", 6, 6), ("course", 4, 4)]


def written(folder, sizes):
    """Write a manifest of empty files, which nothing here opens."""
    images = [
        Labelled(str(folder / f"{name}-{label}-{i}.png"), label, "g" if label else "", name, name, "")
        for name, *counts in sizes
        for label, count in enumerate(counts)
        for i in range(count)
    ]
    for image in images:
        Path(image.path).touch()
    write_manifest(folder / "set.csv", Dataset(tuple(images), "set"))
    return str(folder / "set.csv")


@pytest.fixture
def manifest(tmp_path):
    return written(tmp_path, SIZES)


def test_the_fold_with_the_most_collections_of_both_labels_validates(manifest):
    for share in (0.2, 0.34, 0.5):
        divided = divide(NETWORK.changed({"data.validation": share}), manifest)
        held = set(divided.validation.collections)
        assert held & {"pairs", "course"}
        assert not held & set(divided.training.collections)
        assert len(divided.training) + len(divided.validation) == 140


def test_a_fold_that_is_asked_for_is_the_one(manifest):
    held = [set(divide(NETWORK, manifest, (number, 3)).validation.collections) for number in range(3)]
    assert held[0] == {"houses", "faces"}
    assert set.union(*held) == {name for name, *_ in SIZES}
    assert sum(map(len, held)) == len(SIZES)


@pytest.mark.parametrize(
    ("folds", "expected"),
    [
        # Each fold: its components, and each component: the labels of its images.
        ([["00", "11"], ["01", "0"]], 1),
        ([["01", "0"], ["01", "0", "1"]], 1),
        ([["01", "01"], ["01", "0", "1", "1"]], 0),
        ([["01", "0"], ["10", "1"]], 0),
        ([["0", "0", "0"], ["0", "1"]], 1),
        ([["0", "1"], ["0", "1", "1"]], 1),
    ],
)
def test_what_counts_is_both_labels_then_components_then_the_number(folds, expected):
    rows = [
        (number, f"{number}.{i}", int(label))
        for number, fold in enumerate(folds)
        for i, component in enumerate(fold)
        for label in component
    ]
    numbers, names, labels = (np.array(column) for column in zip(*rows, strict=True))
    together = np.unique(names, return_inverse=True)[1]
    # The order of images says nothing.
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(rows))
        assert telling_fold(numbers[order], together[order], labels[order]) == expected


def test_a_set_without_two_collections_of_a_label_is_refused(tmp_path):
    manifest = written(tmp_path, [("houses", 4, 0), ("shop", 4, 0), ("faces", 0, 4)])
    with pytest.raises(D2FError) as caught:
        divide(NETWORK, manifest)
    assert caught.value.problems[0].code == "D2F603"


# No picture stands in two parts: groups and bytes are refused; likeness and shared collections are warned of.


def apart_manifest(folder: Path, name: str, **columns: str) -> str:
    """Write a apart_manifest of two empty files, which are not to be opened; its photograph has the columns."""
    for label in "01":
        (folder / f"{name}-{label}.png").touch()
    real = Labelled(str(folder / f"{name}-0.png"), 0, **columns)
    write_manifest(folder / f"{name}.csv", Dataset((real, Labelled(str(folder / f"{name}-1.png"), 1, "g")), name))
    return str(folder / f"{name}.csv")


@pytest.mark.parametrize(("key", "said"), [("validation", "train"), ("test", "train or validate")])
def test_tiles_of_one_picture_on_both_sides_are_refused_before_they_are_read(
    tmp_path: Path, key: str, said: str
) -> None:
    other = {"validation": apart_manifest(tmp_path, "valid")} | {
        key: apart_manifest(tmp_path, "other", group="picture-7")
    }
    wanted = recipe(**{f"data__{name}": path for name, path in other.items()})
    with pytest.raises(D2FError) as caught:
        divide(wanted, apart_manifest(tmp_path, "train", group="picture-7"))
    assert caught.value.problems[0].code == "D2F604"
    assert f"share a group with images that {said}: 'picture-7'" in str(caught.value)
    divide(wanted, apart_manifest(tmp_path, "train", group="picture-8"))


def test_numbered_groups_and_collections_are_no_reason_to_refuse_but_to_warn(tmp_path: Path) -> None:
    def listed(name: str, seed: int) -> str:
        images = [
            Labelled(str(file), int("generated" in file.parts), "", "", "town", "near-3" if i == 0 else "")
            for i, file in enumerate(sorted(write_pictures(tmp_path / name, 4, seed=seed).rglob("*.png")))
        ]
        write_manifest(tmp_path / name / "manifest.csv", Dataset(tuple(images), name))
        return str(tmp_path / name)

    said: list[str] = []
    listed("set", 0)
    trained(tmp_path, "warned", recipe(epochs=1, data__validation=listed("other", 1)), Said(said))
    warnings = [line.splitlines()[0] for line in said if line.startswith("warning")]
    assert warnings == [
        "warning[D2F604]: 8 of the images that validate share a collection with images that train: 'town'",
        "warning[D2F604]: 1 of the images that validate share a group with images that train: 'near-3'",
    ]


@pytest.mark.parametrize("key", ["validation", "test"])
def test_a_picture_that_was_saved_anew_is_warned_of(tmp_path: Path, key: str) -> None:
    said: list[str] = []
    picture = np.asarray(camera_picture(48, 48))
    for name, seed in (("set", 0), ("other", 1)):
        write_pictures(tmp_path / name, 4, seed=seed)
    Image.fromarray(picture).save(tmp_path / "set" / "real" / "place-1" / "first.png")
    wanted = recipe(epochs=1, data__validation=str(write_pictures(tmp_path / "valid", 4, seed=2)))
    wanted = wanted.changed({f"data.{key}": str(tmp_path / "other")})
    trained(tmp_path, "before", wanted, Said(said))
    assert not [line for line in said if "look like" in line]
    Image.fromarray(picture[::2, ::2]).save(tmp_path / "other" / "real" / "place-1" / "again.jpg", quality=80)
    trained(tmp_path, "after", wanted, Said(said))
    (warning,) = [line for line in said if "look like" in line]
    what, others = {
        "validation": ("images that validate", "train"),
        "test": ("images of data.test", "train or validate"),
    }[key]
    head, pair, *_ = warning.splitlines()
    assert head == f"warning[D2F604]: 1 of the {what} look like images that {others}"
    assert "other/real/place-1/again.jpg" in pair
    assert "set/real/place-1/first.png" in pair
