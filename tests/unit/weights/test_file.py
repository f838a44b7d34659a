from __future__ import annotations

import hashlib
import io
import json
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import safe_open
from safetensors.numpy import save_file

from d2f import D2FError, Exit, Weights, WeightsMissing
from d2f.weights import checked_bytes, read_weights, short_digests, write_weights
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
