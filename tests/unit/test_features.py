import numpy as np
import pytest

from d2f import D2FError
from d2f.features import features, keeping
from tests.full_disk import full_disk


class Tower:
    """Sums a picture's channels; remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, batch):
        self.asked.append(batch.copy())
        return batch.astype(np.float32).sum(axis=(1, 2))


@pytest.fixture
def batch():
    return np.random.default_rng(0).integers(1, 256, (4, 8, 8, 3), dtype=np.uint8)


def test_without_a_file_every_batch_is_computed(batch):
    tower = Tower()
    for _ in range(2):
        np.testing.assert_array_equal(features("m", batch, tower), Tower()(batch))
    assert len(tower.asked) == 2


def test_pictures_that_were_seen_are_read_back_in_a_later_run(batch, tmp_path):
    tower, expected = Tower(), Tower()(batch)
    for _ in range(2):
        with keeping(str(tmp_path / "kept.sqlite")):
            np.testing.assert_array_equal(features("m", batch, tower), expected)
    assert len(tower.asked) == 1
    with keeping(str(tmp_path / "kept.sqlite")):
        changed = batch.copy()
        changed[2] = 7
        found = features("m", changed, tower)
        np.testing.assert_array_equal(found, Tower()(changed))
        np.testing.assert_array_equal(tower.asked[-1], changed[2:3])
        features("another model", changed, tower)
    assert len(tower.asked) == 3
    features("m", batch, tower)
    assert len(tower.asked) == 4


def test_a_file_that_cannot_be_opened_is_said(tmp_path):
    with pytest.raises(D2FError, match="D2F004"), keeping(str(tmp_path / "no" / "folder")):
        pass
    (tmp_path / "text").write_text("this is no database, whatever it is called" * 50)
    with pytest.raises(D2FError, match="D2F004"), keeping(str(tmp_path / "text")):
        pass


def test_a_full_disk_is_said_and_what_was_kept_stays(batch, tmp_path):
    tower, path = Tower(), str(tmp_path / "kept.sqlite")
    with keeping(path):
        features("m", batch, tower)
        with full_disk(1000), pytest.raises(D2FError, match=r"D2F004.*features cannot be kept in"):
            features("n", batch, tower)
    with keeping(path):
        features("m", batch, tower)
    assert len(tower.asked) == 2
