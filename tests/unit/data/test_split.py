import os

import pytest

from d2f.data.dataset import Dataset, Labelled, load_dataset
from d2f.data.groups import components
from d2f.data.split import listed_parts, shipped_split


def dataset(*collections):
    return Dataset(tuple(Labelled(f"{i}.jpg", i % 2, collection=name) for i, name in enumerate(collections)))


def test_listed_collections_go_where_the_list_says():
    split = shipped_split(dataset("bs435", "teenbiscuits", "bs435"))
    assert [image.collection for image in split.chains] == ["bs435", "bs435"]
    assert [image.collection for image in split.weights] == ["teenbiscuits"]
    assert split.unlisted == ()


def test_unlisted_collections_go_by_a_hash_of_their_name_and_are_said():
    names = [f"stranger-{i}" for i in range(400)]
    split = shipped_split(dataset(*names))
    assert len(split.unlisted) == 400
    assert 70 < len(split.chains) < 130
    again = shipped_split(dataset(*reversed(names)))
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
