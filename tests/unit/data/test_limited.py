import numpy as np
import pytest

from d2f.data.dataset import Dataset, Labelled, limited


def dataset(*groups):
    listed = [(label, name) for label, name, count in groups for _ in range(count)]
    return Dataset(tuple(Labelled(f"{i}", label, collection=name) for i, (label, name) in enumerate(listed)))


@pytest.mark.parametrize("seed", range(3))
def test_every_stratum_keeps_its_share(seed):
    whole = dataset((0, "a", 100), (0, "b", 50), (1, "a", 50), (1, "c", 200))
    part = limited(whole, 40, seed)
    assert len(part) == 40
    for label, name, share in ((0, "a", 10), (0, "b", 5), (1, "a", 5), (1, "c", 20)):
        assert abs(sum((i.label, i.collection) == (label, name) for i in part) - share) <= 1


def test_small_strata_are_drawn_in_proportion():
    whole = dataset(*[(i % 2, f"c{i}", 1) for i in range(300)])
    assert len(limited(whole, 30)) == 30
    first = [limited(whole, 30, seed).images for seed in range(2)]
    assert first[0] != first[1]


def test_it_repeats_keeps_the_order_and_gives_all_where_all_is_asked():
    whole = dataset((0, "a", 20), (1, "b", 20))
    assert limited(whole, 7, 5).images == limited(whole, 7, 5).images
    numbers = [int(image.path) for image in limited(whole, 7)]
    assert numbers == sorted(numbers)
    assert limited(whole, 40) is whole
    assert np.array_equal(limited(whole, 40).labels, whole.labels)
