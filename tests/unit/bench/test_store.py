import os
from pathlib import Path

import pytest

from d2f import D2FError, Failure, Member
from d2f.data.dataset import limited, load_dataset
from d2f.engine.plan import Scored
from d2f.evaluate.bench import Store
from tests.unit.bench.toys import FORMAT_CHAIN, FileFormat, bench, chain

MEMBERS = [("noise", "plain"), ("noise", "denoised")]


def groups():
    fine = (Member("noise", "plain", 1.25), Member("noise", "denoised", -3.0))
    partly = (
        Member("noise", "plain", abstained="D2 words"),
        Member("noise", "denoised", error=Failure("D2F401", "no: é")),
    )
    lost = Failure("D2F404", "preprocessor 'x': no")
    return {
        4: [Scored("a.png", "aa", None, None, None, fine), Scored("a.png", "aa", None, None, None, (), lost)],
        2: [Scored("b.png", "bb", None, None, None, partly), Scored("b.png", "bb", None, None, None, fine)],
    }


def opened(folder, run="r1", mode="new"):
    return Store(folder, run, ("none", "x"), MEMBERS, mode)


def test_what_was_kept_is_read_back_scores_abstentions_and_failures(tmp_path):
    store = opened(tmp_path / "parts")
    for number, group in groups().items():
        store.add(number, group)
        store.flush()
    store.close()
    again = opened(tmp_path / "parts", mode="resume")
    assert again.done == {2, 4}
    assert dict(again.groups()) == groups()
    again.remove()
    assert not (tmp_path / "parts").exists()


def test_parts_of_another_run_and_damaged_ones_are_refused(tmp_path):
    store = opened(tmp_path / "parts")
    store.add(4, groups()[4])
    store.flush()
    store.close()
    with pytest.raises(D2FError, match="D2F005"):
        opened(tmp_path / "parts", "r2", "resume")
    with pytest.raises(D2FError, match="D2F004"):
        opened(tmp_path / "parts")
    (tmp_path / "parts/part-00000.parquet").write_bytes(b"PAR1")
    with pytest.raises(D2FError, match="D2F006"):
        opened(tmp_path / "parts", mode="resume")
    assert opened(tmp_path / "parts", "r2", "overwrite").done == frozenset()


def test_two_runs_do_not_write_one_folder(tmp_path):
    store = opened(tmp_path / "parts")
    with pytest.raises(D2FError, match="another run is writing"):
        opened(tmp_path / "parts", mode="resume")
    store.close()


@pytest.mark.skipif("D2F_DATA" not in os.environ, reason="D2F_DATA is not set")
def test_on_real_images_the_format_tells_as_they_came_and_nothing_when_matched(tmp_path):
    images = limited(load_dataset(Path(os.environ["D2F_DATA"]) / "train"), 40, seed=3)
    webp = type("Webp", (FileFormat,), {"score": lambda self, batch: [float(i.data[:4] == b"RIFF") for i in batch]})
    judged = chain(tmp_path, FORMAT_CHAIN, webp)
    for protocol, low, high in (("as-found", 0.55, 1.0), ("crop", 0.5, 0.5)):
        _, found = bench([judged], images, protocol=protocol)
        assert low <= found["subjects"][0]["figures"]["none"]["auc"][0] <= high
