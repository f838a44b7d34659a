import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2f import D2FError
from d2f.data.dataset import Dataset, Labelled
from d2f.data.groups import components, with_groups
from d2f.data.split import part_labels, split_parts

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
    assert (part_labels(images.labels, parts, count) > 0).all()


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
    assert (part_labels(images.labels, parts, 3) > 0).all()


def test_the_seed_decides():
    images = Dataset(tuple(Labelled(str(i), i % 2) for i in range(90)))
    first, again, other = (split_parts(images, components(images), seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_label_with_too_few_collections_is_refused():
    images = Dataset(tuple(Labelled(str(i), i % 2, collection=f"c{i % 2}{i // 2 % 4 * (i % 2)}") for i in range(40)))
    with pytest.raises(D2FError, match="photographs from as many independent collections; there are 1"):
        split_parts(images, components(images))
