"""Images that belong together: components of collections and groups, near pairs of hashes, duplicates."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from d2f.data.dataset import Dataset, Labelled, load_dataset
from d2f.data.facts import FileFacts, Inspection, inspect
from d2f.data.groups import components, duplicates, hamming, near_pairs
from d2f.testing import camera_picture

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


# Near pairs of hashes.

MANY = 2**64 - 1


def brute(hashes, radius):
    return [
        [i, j] for i, a in enumerate(hashes) for j, b in enumerate(hashes) if i < j and (a ^ b).bit_count() <= radius
    ]


@given(st.lists(st.tuples(st.integers(0, 3), st.sets(st.integers(0, 63), max_size=8)), max_size=24), st.integers(0, 11))
def test_every_near_pair_is_found_and_no_other(flips, radius):
    bases = [0, MANY, 0x0123456789ABCDEF, 0xF0F0F0F0F0F0F0F0]
    hashes = [bases[base] ^ sum(1 << bit for bit in bits) for base, bits in flips]
    assert near_pairs(hashes, radius).tolist() == brute(hashes, radius)


def test_many_hashes_are_searched_in_a_moment():
    random = np.random.default_rng(0)
    hashes = random.integers(0, 2**64, 50_000, dtype=np.uint64)
    hashes[1000] = hashes[40_000] ^ np.uint64(0b111111 << 13)
    assert near_pairs(hashes).tolist() == [[1000, 40_000]]


def test_hamming_counts_bits():
    first = np.array([0, MANY, 5], dtype=np.uint64)
    assert hamming(first, np.array([MANY, MANY, 6], dtype=np.uint64)).tolist() == [64, 0, 2]


def test_the_radius_is_bounded():
    with pytest.raises(ValueError, match=r"0\.\.11, got 12"):
        near_pairs([1, 2], 12)


# Duplicates.


def test_copies_of_bytes_and_of_looks_are_found_and_told_apart(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "generated/toy").mkdir(parents=True)
    for seed in range(5):
        Image.fromarray(camera_picture(128, 160, seed=seed)).save(tmp_path / f"real/{seed}.png")
    shutil.copy(tmp_path / "real/1.png", tmp_path / "generated/toy/copy.png")
    Image.open(tmp_path / "real/3.png").resize((120, 96)).save(tmp_path / "generated/toy/smaller.jpg", quality=70)
    for number in range(2):
        Image.new("RGB", (40, 40), (200, 200 + number, 200)).save(tmp_path / f"real/flat-{number}.png")
    seen = inspect(load_dataset(tmp_path), decode=True)
    names = [image.path.rsplit("/", 1)[1] for image in seen.images]
    found = duplicates(seen)
    assert [{names[i] for i in pair} for pair in found.exact] == [{"copy.png", "1.png"}]
    assert [{names[i] for i in pair} for pair in found.near] == [{"smaller.jpg", "3.png"}]
    assert np.sort(np.bincount(found.groups)).tolist() == [1, 1, 1, 1, 1, 2, 2]


def test_without_decoding_only_bytes_are_compared(tmp_path):
    (tmp_path / "real").mkdir()
    Image.fromarray(camera_picture(64, 64)).save(tmp_path / "real/a.png")
    Image.fromarray(camera_picture(64, 64)).save(tmp_path / "real/b.jpg")
    found = duplicates(inspect(load_dataset(tmp_path)))
    assert found.exact.shape == found.near.shape == (0, 2)


def looked(hashes):
    facts = [FileFacts(str(i), str(i), 1, 1, 1, "PNG") for i in range(len(hashes))]
    images = Dataset(tuple(Labelled(str(i), 0) for i in range(len(hashes))))
    return Inspection(images, tuple(facts), tuple(hashes), ())


@given(st.lists(st.one_of(st.none(), st.sampled_from([0, 1, 0b111111, 2**63, 2**40 - 1])), max_size=16))
def test_groups_are_those_of_all_pairs(hashes):
    found = duplicates(looked(hashes))
    near = [
        {i, j}
        for i, a in enumerate(hashes)
        for j, b in enumerate(hashes)
        if i < j and a is not None and b is not None and (a ^ b).bit_count() <= 6
    ]
    groups = {i: {i} for i in range(len(hashes))}
    for pair in near:
        joined = set().union(*(groups[i] for i in pair))
        groups.update(dict.fromkeys(joined, joined))
    for i in range(len(hashes)):
        assert {j for j in range(len(hashes)) if found.groups[j] == found.groups[i]} == groups[i]


def test_ten_thousand_copies_of_one_look_do_not_take_its_square():
    assert len(duplicates(looked([7] * 10_000)).near) == 9_999
