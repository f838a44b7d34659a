import shutil

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from d2f.data.dataset import Dataset, Labelled, load_dataset
from d2f.data.facts import FileFacts, FileReport, Inspection, inspect
from d2f.data.groups import duplicates
from d2f.testing import camera_picture


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
    return Inspection(images, tuple(map(FileReport, facts, hashes)), ())


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
