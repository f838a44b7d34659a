"""Files whose digest no record knows: the first pull trusts, says so and pins; every later one holds to it."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from d2f.api.errors import D2FError, WeightsMissing
from d2f.api.inputs import Weights
from d2f.weights import as_record, checked_bytes
from d2f.weights.fetch import add_weights, pin, pull_weights
from d2f.weights.sources import pins
from d2f.weights.verify import SelfTest, self_tested
from tests.unit.weights.fetching.server import Server

DATA = b"first come" * 50


def record(server: Server) -> Weights:
    server.files["/theirs.pth"] = DATA
    source = server.url("/theirs.pth")
    return Weights("theirs/default", "", "MIT", (source,), untested=(source,))


def test_before_the_first_pull_there_is_nothing(server: Server, cache: Path) -> None:
    unknown = record(server)
    assert as_record(unknown) == unknown
    with pytest.raises(WeightsMissing) as caught:
        checked_bytes(unknown)
    assert caught.value.problems[0].notes == ("to fetch them: d2f weights pull theirs/default",)


def test_the_first_pull_pins(server: Server, cache: Path) -> None:
    unknown, digest = record(server), hashlib.sha256(DATA).hexdigest()
    pulled = pull_weights(unknown)
    assert pulled.first
    assert pulled.record.sha256 == digest
    assert as_record(unknown) == replace(unknown, sha256=digest)
    assert checked_bytes(unknown) == DATA
    again = pull_weights(unknown)
    assert (again.first, again.fetched) == (False, False)


def test_another_file_is_refused_afterwards(server: Server, cache: Path) -> None:
    unknown = record(server)
    kept = pull_weights(unknown).located.file
    assert isinstance(kept, Path)
    kept.unlink()
    server.files["/theirs.pth"] = DATA + b"!"
    with pytest.raises(D2FError, match="have not the pinned digest") as caught:
        pull_weights(unknown)
    assert caught.value.problems[0].code == "D2F503"


def test_a_part_that_broke_off_is_not_gone_on_with(server: Server, cache: Path) -> None:
    unknown = record(server)
    pull_weights(replace(unknown, name="other/default"))
    key = hashlib.sha256(b"theirs/default").hexdigest()[:32]
    (cache / f"first-{key}.part").write_bytes(b"of another file")
    assert pull_weights(unknown).record.sha256 == hashlib.sha256(DATA).hexdigest()


def one_number(record: Weights) -> SelfTest:
    return SelfTest((float(record.name),))


def test_pins_and_outputs_of_many_at_once_are_all_kept(cache: Path, tmp_path: Path) -> None:
    names = [str(number) for number in range(1, 33)]

    def add(name: str) -> None:
        stick = tmp_path / name
        stick.write_text(name)
        record = Weights(name, "", "MIT", ("https://example.org/a.pth",), self_test=f"{__name__}:one_number")
        added = add_weights(record, stick).record
        assert self_tested(added).outcome == "kept"
        pin(added)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, names))
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in names}
    assert pins() == digests
    outputs = json.loads((cache / "outputs.json").read_text("utf-8"))
    assert {key.partition(" ")[0]: output for key, output in outputs.items()} == {
        digests[name]: [float(name)] for name in names
    }


@pytest.mark.parametrize("held", ["", "[]", "{", '{"theirs/default": "../../x"}', '{"theirs/default": 3}'])
def test_pins_that_are_none(server: Server, cache: Path, held: str) -> None:
    cache.mkdir(parents=True)
    (cache / "pins.json").write_text(held)
    assert as_record(record(server)).sha256 == ""
