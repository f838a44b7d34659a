import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from d2f.data.dataset import Labelled
from d2f.data.groups import components

names = st.sampled_from(["", "a", "b", "c", "d"])


def labelled(collection="", group=""):
    return Labelled("x.jpg", 0, collection=collection, group=group)


def test_a_group_ties_two_collections_together():
    images = [labelled("a", "1"), labelled("b", "1"), labelled("b", "2"), labelled("c", "3"), labelled()]
    assert components(images).tolist() == [0, 0, 0, 1, 2]


def test_images_without_either_stand_alone():
    assert components([labelled(), labelled(), labelled("", "g"), labelled("", "g")]).tolist() == [0, 1, 2, 2]


def test_a_collection_and_a_group_of_one_name_are_two_things():
    assert components([labelled("a"), labelled("", "a")]).tolist() == [0, 1]


@given(st.lists(st.tuples(names, names), min_size=1, max_size=40))
def test_equal_to_scipys_connected_components(pairs):
    linked = [
        (i, j)
        for i, one in enumerate(pairs)
        for j, two in enumerate(pairs)
        if any(a and a == b for a, b in zip(one, two, strict=True))
    ]
    rows, columns = zip(*linked, strict=True) if linked else ((), ())
    shape = (len(pairs), len(pairs))
    _, expected = connected_components(coo_array((np.ones(len(linked)), (rows, columns)), shape=shape), directed=False)
    found = components([labelled(*pair) for pair in pairs])
    assert np.array_equal(found[:, None] == found, expected[:, None] == expected)
