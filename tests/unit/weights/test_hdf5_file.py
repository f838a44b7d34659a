"""HDF5 files: what Keras wrote is read, what is damaged or hostile is refused, and nothing loops."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from d2f.api.errors import D2FError
from d2f.weights import read_hdf5

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
