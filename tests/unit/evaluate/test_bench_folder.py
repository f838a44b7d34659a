"""A bench's folder: what it refuses, what a stopped run leaves, and what it is continued with."""

import json

import numpy as np
import pytest

from d2f import D2FError
from d2f.data.dataset import load_dataset
from d2f.evaluate.attacks import attack_set
from d2f.evaluate.bench import BenchFolder, BenchSettings, read_result, result, run_chains
from tests.unit.evaluate.bench_toys import bench, chain
from tests.unit.evaluate.toys import NoiseLevel, write_set


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    write_set(folder, 12, collections=4)
    return load_dataset(folder)


def finished(folder, images, place):
    judged = chain(place)
    run, found = bench([judged], images, cache=folder.cache())
    folder.write(found, run, [judged])


def test_a_finished_bench_is_neither_continued_nor_replaced_unasked(images, tmp_path):
    folder = BenchFolder(tmp_path / "out", "new")
    finished(folder, images, tmp_path / "chain")
    folder.close()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("bench.json", "report.html", "report.md", "rows.parquet"),
    ]
    assert read_result(str(tmp_path / "out"))["data"]["images"] == 24
    for mode, words in (("new", "already holds a bench"), ("resume", "holds a finished bench")):
        with pytest.raises(D2FError, match=words):
            BenchFolder(tmp_path / "out", mode)
    BenchFolder(tmp_path / "out", "overwrite").close()
    assert not (tmp_path / "out/bench.json").exists()


def test_two_benches_do_not_write_one_folder(tmp_path):
    folder = BenchFolder(tmp_path / "out", "new")
    with pytest.raises(D2FError, match="another bench is writing"):
        BenchFolder(tmp_path / "out", "resume")
    folder.close()


def test_a_stopped_bench_is_continued_and_a_detector_that_changed_since_is_scored_anew(images, tmp_path, monkeypatch):
    """Its name, options and weights are the same, its sign is turned: old and new scores must not be mixed."""
    attacks = attack_set("none", ("noise:2",), chain(tmp_path / "c").catalog)

    def run(stop=None):
        judged = chain(tmp_path / "c")
        ticks = []

        def tick():
            ticks.append(1)
            if len(ticks) == stop:
                raise KeyboardInterrupt

        folder = BenchFolder(tmp_path / "out", "resume")
        cache = folder.cache()
        try:
            done = run_chains([judged], images, attacks.attacks, "as-found", cache=cache, workers=1, tick=tick)
            return done, result(done, [judged], BenchSettings("as-found", attacks, draws=20, whole=images))
        finally:
            cache.close()
            folder.close()

    with pytest.raises(KeyboardInterrupt):
        run(stop=9)
    (tmp_path / "out/bench.json").unlink(missing_ok=True)
    whole, found = run()
    assert found["speed"]["cached"] == whole.joint.cached == 9
    assert run()[0].joint.cached == 24
    score = NoiseLevel.score
    monkeypatch.setattr(NoiseLevel, "score", lambda self, batch: [-value for value in score(self, batch)])
    monkeypatch.setattr("d2f.cache.code_digest", lambda stage: f"edited {stage.__module__}")
    turned, _ = run()
    assert turned.joint.cached == 0
    np.testing.assert_array_equal(turned.joint.scores, -whole.joint.scores)


def test_what_is_no_bench_is_refused(tmp_path):
    (tmp_path / "bench.json").write_text(json.dumps({"d2f_bench": 1}))
    with pytest.raises(D2FError, match=r"not a bench\.json of version 2"):
        read_result(str(tmp_path))
    with pytest.raises(D2FError, match="there is no bench"):
        read_result(str(tmp_path / "nowhere"))
