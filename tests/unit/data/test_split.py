"""Sets split: by the shipped list, into parts and into folds; no component is cut."""

from __future__ import annotations

import os
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2f import D2FError
from d2f.data.dataset import Dataset, Labelled, load_dataset
from d2f.data.groups import components, folds, listed_parts, shipped_split, split_parts, with_groups

# The shipped list of collections.


def of_collections(*collections):
    return Dataset(tuple(Labelled(f"{i}.jpg", i % 2, collection=name) for i, name in enumerate(collections)))


def test_listed_collections_go_where_the_list_says():
    split = shipped_split(of_collections("bs435", "teenbiscuits", "bs435"))
    assert [image.collection for image in split.chains] == ["bs435", "bs435"]
    assert [image.collection for image in split.weights] == ["teenbiscuits"]
    assert split.unlisted == ()


def test_unlisted_collections_go_by_a_hash_of_their_name_and_are_said():
    names = [f"stranger-{i}" for i in range(400)]
    split = shipped_split(of_collections(*names))
    assert len(split.unlisted) == 400
    assert 70 < len(split.chains) < 130
    again = shipped_split(of_collections(*reversed(names)))
    assert set(again.chains.collections) == set(split.chains.collections)


def test_a_component_is_never_cut():
    one = Labelled("a.jpg", 0, collection="bs435", group="same")
    two = Labelled("b.jpg", 1, collection="teenbiscuits", group="same")
    split = shipped_split(Dataset((one, two)))
    assert sorted((len(split.chains), len(split.weights))) == [0, 2]


def test_images_without_a_collection_go_by_their_files_name_wherever_the_folder_lies():
    here = shipped_split(Dataset(tuple(Labelled(f"/a/{i}.jpg", 0) for i in range(50)))).chains
    there = shipped_split(Dataset(tuple(Labelled(f"b\\{i}.jpg", 0) for i in range(50)))).chains
    assert [i.path[3:] for i in here] == [i.path[2:] for i in there]
    assert 4 < len(here) < 22


@pytest.mark.skipif("D2F_DATA" not in os.environ, reason="D2F_DATA is not set")
def test_the_list_names_the_collections_of_the_projects_set_and_splits_it_near_three_to_one():
    """Facts of the edition that the list was brought to; with another edition there is nothing to compare with."""
    whole = load_dataset(os.path.join(os.environ["D2F_DATA"], "train"))
    weights, chains, unlisted = shipped_split(whole)
    if unlisted or set(listed_parts()) != set(whole.collections):
        pytest.skip("the images at hand are another edition than that of d2f/data/collections.yaml")
    assert len(weights) + len(chains) == len(whole)
    assert not set(weights.collections) & set(chains.collections)
    assert 0.2 < len(chains) / len(whole) < 0.31
    assert 0.4 < chains.labels.mean() < 0.6
    for part in (weights, chains):
        two_class = [c for c in part.collections if len({i.label for i in part if i.collection == c}) == 2]
        assert len(two_class) >= 4
    assert set(components(weights)) == set(range(len(weights.collections)))


def test_no_collection_is_listed_in_both_parts():
    from importlib.resources import files

    from ruamel.yaml import YAML

    lists = YAML(typ="safe", pure=True).load(files("d2f.data").joinpath("collections.yaml").read_text("utf-8"))
    assert list(lists) == ["chains", "weights"]
    assert not set(lists["chains"]) & set(lists["weights"])
    for names in lists.values():
        assert names == sorted(set(names))
    assert listed_parts() == {name: part for part, names in lists.items() for name in names}


# Parts of given shares.

IMAGE = st.tuples(st.integers(0, 1), st.integers(0, 14), st.integers(0, 20), st.integers(0, 3))


def dataset(rows):
    return Dataset(
        tuple(
            Labelled(
                f"{i}.png",
                label,
                f"toy-{generator}" if label else "",
                collection=f"c{collection}" if collection else "",
                group=f"g{group}" if group < 6 else "",
            )
            for i, (label, collection, group, generator) in enumerate(rows)
        )
    )


@given(st.lists(IMAGE, min_size=6, max_size=80), st.integers(2, 4), st.integers(0, 3))
def test_no_component_is_cut_and_every_part_has_both_labels(rows, count, seed):
    images = dataset(rows)
    numbers = components(images)
    independent = [len(set(numbers[images.labels == label].tolist())) for label in (0, 1)]
    if min(independent) < count:
        with pytest.raises(D2FError, match="D2F603"):
            split_parts(images, numbers, [1.0] * count, seed)
        return
    try:
        parts = split_parts(images, numbers, [1.0] * count, seed)
    except D2FError:
        # Components of both labels can stand in each other's way.
        assert any(len(set(images.labels[numbers == number].tolist())) == 2 for number in numbers)
        return
    for number in set(numbers.tolist()):
        assert len(set(parts[numbers == number].tolist())) == 1
    assert {*zip(parts.tolist(), images.labels.tolist(), strict=True)} == {*product(range(count), (0, 1))}


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=1, max_size=40))
def test_groups_found_join_groups_named(rows):
    images = Dataset(tuple(Labelled(str(i), 0, group=f"g{named}" * bool(named)) for i, (named, _) in enumerate(rows)))
    numbers = np.unique([found for _, found in rows], return_inverse=True)[1]
    joined = [image.group for image in with_groups(images, numbers)]
    for i, (named, found) in enumerate(rows):
        for j, (other_named, other_found) in enumerate(rows):
            if found == other_found or (named and named == other_named):
                assert i == j or (joined[i] and joined[i] == joined[j])
    assert len(set(joined) - {""}) <= len({named for named, _ in rows} | {-1 - found for _, found in rows})


def test_an_image_alone_keeps_its_empty_group():
    images = Dataset((Labelled("a", 0), Labelled("b", 1), Labelled("c", 1, group="x")))
    assert [image.group for image in with_groups(images, np.array([0, 1, 2]))] == ["", "", "x"]


def test_shares_labels_and_generators_are_kept():
    random = np.random.default_rng(0)
    rows = [(i % 2, 1 + i % 15, 9, int(random.integers(0, 4))) for i in range(3000)]
    images = Dataset(tuple(Labelled(str(i), r[0], f"toy-{r[3]}" if r[0] else "") for i, r in enumerate(rows)))
    parts = split_parts(images, components(images), (0.7, 0.2, 0.1), seed=4)
    for label in (0, 1):
        share = np.bincount(parts[images.labels == label], minlength=3) / (images.labels == label).sum()
        assert np.abs(share - [0.7, 0.2, 0.1]).max() < 0.01
    for name in ("toy-0", "toy-3"):
        mask = np.array([image.generator == name for image in images])
        assert np.abs(np.bincount(parts[mask], minlength=3) / mask.sum() - [0.7, 0.2, 0.1]).max() < 0.02


def test_generators_of_one_collection_do_not_all_go_to_the_largest_part():
    images = Dataset(
        tuple(Labelled(str(i), i % 2, f"toy-{i // 20}" if i % 2 else "", collection=f"c{i // 20}") for i in range(2000))
    )
    parts = split_parts(images, components(images), (0.7, 0.15, 0.15))
    assert np.bincount(parts).tolist() == [1400, 300, 300]


def test_few_collections_still_give_every_part_both_labels():
    images = Dataset(tuple(Labelled(str(i), i % 2, collection=f"c{i % 6}") for i in range(60)))
    parts = split_parts(images, components(images))
    assert {*zip(parts.tolist(), images.labels.tolist(), strict=True)} == {*product(range(3), (0, 1))}


def test_the_seed_decides():
    images = Dataset(tuple(Labelled(str(i), i % 2) for i in range(90)))
    first, again, other = (split_parts(images, components(images), seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_label_with_too_few_collections_is_refused():
    images = Dataset(tuple(Labelled(str(i), i % 2, collection=f"c{i % 2}{i // 2 % 4 * (i % 2)}") for i in range(40)))
    with pytest.raises(D2FError, match="photographs from as many independent collections; there are 1"):
        split_parts(images, components(images))


# Folds.


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 1)), min_size=4, max_size=120),
    st.integers(2, 8),
    st.integers(0, 5),
)
def test_folds_never_cut_a_component(pairs, k, seed):
    components, labels = (np.array(column) for column in zip(*pairs, strict=True))
    if any(len(set(components[labels == label])) < 2 for label in (0, 1)):
        with pytest.raises(D2FError):
            folds(components, labels, k, seed)
        return
    found = folds(components, labels, k, seed)
    for component in set(components.tolist()):
        assert len(set(found[components == component].tolist())) == 1
    assert set(found.tolist()) <= set(range(min(k, len(set(components.tolist())))))


def test_both_labels_are_dealt_evenly():
    random = np.random.default_rng(1)
    components = np.repeat(np.arange(200), random.integers(1, 6, 200))
    labels = (components % 2).astype(np.int8)
    found = folds(components, labels, 5, seed=3)
    for label in (0, 1):
        share = np.bincount(found[labels == label], minlength=5) / (labels == label).sum()
        assert np.abs(share - 0.2).max() < 0.01


def test_the_same_seed_gives_the_same_folds_and_another_gives_others():
    components, labels = np.arange(60), np.arange(60) % 2
    assert np.array_equal(folds(components, labels, 4, 7), folds(components, labels, 4, 7))
    assert not np.array_equal(folds(components, labels, 4, 7), folds(components, labels, 4, 8))


@pytest.mark.parametrize(
    ("components", "labels", "words"),
    [([0, 1, 2], [0, 0, 0], "there are no generated images"), ([0, 1, 1], [0, 1, 1], "come from one collection")],
)
def test_without_two_collections_of_each_label_there_is_nothing_to_fit(components, labels, words):
    with pytest.raises(D2FError, match=words) as error:
        folds(np.array(components), np.array(labels), 2)
    assert error.value.problems[0].code == "D2F603"
