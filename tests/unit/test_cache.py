import importlib
import multiprocessing
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata

import numpy as np
import pytest

import d2f.cache
from d2f import D2FError
from d2f.cache import Cache, caching, features, key_of
from d2f.plugins import catalog
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


def test_without_a_folder_every_batch_is_computed(batch):
    tower = Tower()
    for _ in range(2):
        np.testing.assert_array_equal(features("m", batch, tower), Tower()(batch))
    assert len(tower.asked) == 2


def test_pictures_that_were_seen_are_read_back_in_a_later_run(batch, tmp_path):
    tower, expected = Tower(), Tower()(batch)
    for _ in range(2):
        with caching(tmp_path / "cache"):
            np.testing.assert_array_equal(features("m", batch, tower), expected)
    assert len(tower.asked) == 1
    with caching(tmp_path / "cache"):
        changed = batch.copy()
        changed[2] = 7
        found = features("m", changed, tower)
        np.testing.assert_array_equal(found, Tower()(changed))
        np.testing.assert_array_equal(tower.asked[-1], changed[2:3])
        features("another model", changed, tower)
    assert len(tower.asked) == 3
    features("m", batch, tower)
    assert len(tower.asked) == 4


def test_any_thread_reads_and_writes_what_one_has_opened(batch, tmp_path):
    tower = Tower()
    with caching(tmp_path / "cache"), ThreadPoolExecutor(1) as threads:
        np.testing.assert_array_equal(threads.submit(features, "m", batch, tower).result(), Tower()(batch))
        features("m", batch, tower)
    assert len(tower.asked) == 1


def test_a_folder_that_cannot_be_used_is_said(tmp_path):
    (tmp_path / "text").write_text("a file")
    with pytest.raises(D2FError, match=r"D2F004.*text"), caching(tmp_path / "text"):
        pass
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "rows.sqlite").write_text("this is no database, whatever it is called" * 50)
    with pytest.raises(D2FError, match=r"D2F004.*strange"), caching(tmp_path / "strange"):
        pass


def test_a_full_disk_is_said_and_what_was_stored_stays(batch, tmp_path):
    tower = Tower()
    with caching(tmp_path / "cache"):
        features("m", batch, tower)
        with full_disk(1000), pytest.raises(D2FError, match=r"D2F004.*the cache .* cannot be used"):
            features("n", batch, tower)
    with caching(tmp_path / "cache"):
        features("m", batch, tower)
    assert len(tower.asked) == 2


def test_features_of_changed_code_are_computed_anew(batch, tmp_path, monkeypatch):
    """A tower's edit changes what it computes, whatever it calls itself."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "edited_tower.py").write_text("def compute(batch):\n    return batch[:, 0, 0].astype('f4')\n")
    import edited_tower

    with caching(tmp_path / "cache"):
        before = features("m", batch, edited_tower.compute)
    catalog._package_digest.cache_clear()
    (tmp_path / "edited_tower.py").write_text("def compute(batch):\n    return -batch[:, 0, 0].astype('f4')\n")
    sys.modules.pop("edited_tower")
    importlib.invalidate_caches()
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    source = (tmp_path / "edited_tower.py").read_text()
    exec(compile(source, str(tmp_path / "edited_tower.py"), "exec"), vars(edited_tower))
    sys.modules["edited_tower"] = edited_tower
    with caching(tmp_path / "cache"):
        np.testing.assert_array_equal(features("m", batch, edited_tower.compute), -before)
    catalog._package_digest.cache_clear()


def test_what_has_no_code_is_never_stored(batch, tmp_path):
    made = {"__name__": "made_in_memory"}
    exec("def compute(batch):\n    return batch[:, 0, 0].astype('f4')\n", made)
    assert key_of("features", "m", code=(made["compute"],)) is None
    with caching(tmp_path / "cache") as cache:
        features("m", batch, made["compute"])
        assert cache._file.execute("SELECT count(*) FROM rows").fetchone() == (0,)


def test_a_key_tells_versions_machines_and_facts_apart(monkeypatch):
    computing = d2f.cache.environment()
    keys = {key_of("a"), key_of("b"), key_of("a", 1), key_of("a", code=(features,)), key_of("a", code=(np.mean,))}
    monkeypatch.setattr(d2f.cache, "__version__", "0.0.0")
    keys.add(key_of("a"))
    monkeypatch.setattr(d2f.cache, "environment", lambda: ["another machine"])
    keys.add(key_of("a"))
    assert len(keys) == 7
    assert {f"numpy {np.__version__}", f"mlx {metadata.version('mlx')}"} <= set(computing)
    assert key_of("a", {"x": 1.0}) == key_of("a", {"x": 1})


def test_arrays_are_stored_whole_and_a_damaged_file_counts_as_none(tmp_path):
    cache, arrays = Cache(tmp_path / "cache"), {"a": np.arange(6.0).reshape(2, 3), "b": np.array(["x", "yz"])}
    assert cache.arrays(b"key") is None
    cache.store_arrays(b"key", arrays)
    found = cache.arrays(b"key")
    assert list(found) == ["a", "b"]
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
    (path,) = (tmp_path / "cache").glob("*.npz")
    path.write_bytes(path.read_bytes()[:100])
    assert cache.arrays(b"key") is None
    cache.close()


def write_many(folder, number):
    with caching(folder) as cache:
        for at in range(200):
            cache.write({f"{number} {at}".encode(): b"value"})


def test_several_processes_write_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=write_many, args=(tmp_path / "cache", number)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    with caching(tmp_path / "cache") as cache:
        assert len(cache.read([f"{number} {at}".encode() for number in range(4) for at in range(200)])) == 800
