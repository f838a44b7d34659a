import shutil

import numpy as np
from PIL import Image

from d2f.data.dataset import load_dataset
from d2f.data.duplicates import duplicates
from d2f.data.inspection import inspect
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
