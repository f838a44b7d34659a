"""PyTorch checkpoints: honest ones as PyTorch wrote them, and hostile ones made by hand."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import pickletools
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2f import D2FError, Weights, WeightsMissing
from d2f.weights.torch_file import CheckpointRefused, described_by, interpret, read_torch

# Pickles put together by hand, operation by operation, and checkpoints around them.

START, END = b"\x80\x02", b"."


def word(text: str) -> bytes:
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def whole(number: int) -> bytes:
    data = number.to_bytes((number.bit_length() + 8) // 8, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def group(*values: bytes) -> bytes:
    return b"(" + b"".join(values) + b"t"


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def call(module: str, attribute: str, *arguments: bytes) -> bytes:
    return name(module, attribute) + group(*arguments) + b"R"


def storage(key: str, length: int, kind: str = "FloatStorage") -> bytes:
    return group(word("storage"), name("torch", kind), word(key), word("cpu"), whole(length)) + b"Q"


def tensor(
    size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0, of: bytes | None = None, length: int = 6
) -> bytes:
    numbers = storage("0", length) if of is None else of
    sizes, strides = group(*map(whole, size)), group(*map(whole, stride))
    hooks = call("collections", "OrderedDict")
    return call("torch._utils", "_rebuild_tensor_v2", numbers, whole(offset), sizes, strides, b"\x89", hooks)


def table(**values: bytes) -> bytes:
    return b"}(" + b"".join(word(key) + value for key, value in values.items()) + b"u"


def checkpoint(
    pickled: bytes, storages: Mapping[str, bytes] | None = None, compression: int = zipfile.ZIP_STORED, **more: bytes
) -> bytes:
    """Return a zip archive as PyTorch writes one; by default its storage 0 holds six float32, 0 to 5."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", compression) as archive:
        archive.writestr("archive/data.pkl", START + pickled + END)
        for key, data in (storages if storages is not None else {"0": struct.pack("<6f", *range(6))}).items():
            archive.writestr(f"archive/data/{key}", data)
        for member, data in more.items():
            archive.writestr(f"archive/{member}", data)
    return held.getvalue()


CHECKPOINTS = Path(__file__).parent / "checkpoints"

# What checkpoints/make.py put in.
HELD = {
    "plain": np.arange(6, dtype=np.float32).reshape(2, 3) / 4,
    "turned": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "double": np.array([0.1, -2.5]),
    "half": np.array([1.5, -0.25], np.float16),
    "brain": np.array([1.0, -3.0, 0.15625], np.float32),
    "counter": np.array(7),
    "mask": np.array([True, False, True]),
    "nothing": np.zeros((0, 3), np.float32),
    "parameter": np.array([2.0, 3.0], np.float32),
}


def refusal(data: bytes, folder: Path, key: str | None = None) -> str:
    """Return why a checkpoint is refused."""
    path = folder / "a.pth"
    path.write_bytes(data)
    with pytest.raises(D2FError) as caught:
        read_torch(path, key)
    (problem,) = caught.value.problems
    assert problem.code == "D2F505"
    assert problem.message.endswith("is no PyTorch checkpoint of tensors and plain values alone")
    assert problem.notes[1] == "nothing in it was run"
    return problem.notes[0]


class TestAsPyTorchWrites:
    @pytest.mark.parametrize("file", ["zip.pth", "zip-protocol-4.pth", "row.pth", "wrapped.pth"])
    def test_every_tensor(self, file: str) -> None:
        found = read_torch(CHECKPOINTS / file)
        assert list(found) == list(HELD)
        for key, array in HELD.items():
            assert found[key].dtype == array.dtype
            np.testing.assert_array_equal(found[key], array)

    def test_a_key(self) -> None:
        assert read_torch(CHECKPOINTS / "wrapped.pth", "model").keys() == HELD.keys()

    def test_a_record(self) -> None:
        path = CHECKPOINTS / "zip.pth"
        record = Weights("soft/half", hashlib.sha256(path.read_bytes()).hexdigest(), "MIT", (str(path),))
        assert read_torch(record).keys() == HELD.keys()
        with pytest.raises(D2FError, match="'soft/half' have not the pinned digest"):
            read_torch(replace(record, sha256="0" * 64))
        with pytest.raises(WeightsMissing, match="'soft/half' are not on this machine"):
            read_torch(replace(record, sources=("nowhere.pth",)))

    def test_an_unknown_key(self, tmp_path: Path) -> None:
        data = (CHECKPOINTS / "wrapped.pth").read_bytes()
        assert refusal(data, tmp_path, "ema") == "it has no 'ema'; it holds epoch, lr, model, none"
        assert refusal(data, tmp_path, "lr") == "its 'lr' is no dict of tensors alone"

    def test_a_whole_network_is_a_program(self, tmp_path: Path) -> None:
        data = (CHECKPOINTS / "whole-network.pth").read_bytes()
        assert "torch.nn.modules.container.Sequential" in refusal(data, tmp_path)

    def test_torchscript_is_a_program(self, tmp_path: Path) -> None:
        data = checkpoint(table(a=tensor((6,), (1,))), **{"constants.pkl": b"\x80\x02).", "code/a.py": b"import os"})
        assert refusal(data, tmp_path) == "it is a TorchScript program, not a checkpoint"

    def test_the_oldest_format(self, tmp_path: Path) -> None:
        held = io.BytesIO()
        with tarfile.open(fileobj=held, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("storages"))
        assert refusal(held.getvalue(), tmp_path).startswith("it is a tar archive of PyTorch 0.1: ")

    def test_big_endian_numbers(self, tmp_path: Path) -> None:
        path = tmp_path / "a.pth"
        pickled = table(a=tensor((6,), (1,)))
        path.write_bytes(checkpoint(pickled, {"0": struct.pack(">6f", *range(6))}, byteorder=b"big"))
        np.testing.assert_array_equal(read_torch(path)["a"], np.arange(6))

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsMissing, match=r"no weights file"):
            read_torch(tmp_path / "a.pth")


@pytest.mark.parametrize(
    "pickled",
    [
        call("os", "system", word("touch ran")),
        call("builtins", "eval", word("open('ran', 'w')")),
        call("torch._utils", "_rebuild_tensor_v3", word("touch ran")),
        call("posix", "system", word("touch ran")),
        name("os", "system") + word("touch ran") + b"\x85\x81",  # NEWOBJ
        b"(S'touch ran'\nios\nsystem\n",  # INST
        name("os", "system") + word("touch ran") + b"o",  # OBJ
        name("collections", "OrderedDict") + b"}" + b"b",  # BUILD on a class
        call("collections", "OrderedDict", group(group(word("a"), whole(1)))),
        b"\x82\x01",  # an extension code
        name("torch", "storage") + b")R",
    ],
    ids=["system", "eval", "other tensors", "posix", "newobj", "inst", "obj", "build", "ordered", "extension", "torch"],
)
def test_nothing_is_run(pickled: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert refusal(checkpoint(table(a=tensor((6,), (1,)), b=pickled)), tmp_path)
    assert not (tmp_path / "ran").exists()


class _Ran:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("ran",)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_nothing_is_run_of_python_s_own_pickles(protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps({"a": _Ran()}, protocol)
    with pytest.raises(CheckpointRefused, match=r"it would call posix\.mkdir"):
        interpret(io.BytesIO(data))
    assert refusal(data, tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("described", "why"),
    [
        (tensor((7,), (1,)), "a tensor reaches beyond its storage"),
        (tensor((2,), (6,)), "a tensor reaches beyond its storage"),
        (tensor((1,), (1,), 6), "a tensor reaches beyond its storage"),
        (tensor((10**9,), (0,)), "a tensor holds more values than its storage"),
        (tensor((2**61, 2**61), (0, 0)), "a tensor holds more values than its storage"),
        (tensor((-1,), (1,)), "a size, stride or offset is out of range"),
        (tensor((2,), (-1,), 3), "a size, stride or offset is out of range"),
        (tensor((1,), (1,), -1), "a size, stride or offset is out of range"),
        (tensor((2, 2), (1,)), "a tensor's size and strides do not fit together"),
        (tensor((1,) * 33, (1,) * 33), "a tensor's size and strides do not fit together"),
        (tensor((6,), (1,), length=2**40), "storage '0' has another length than named"),
        (tensor((1,), (1,), of=storage("9", 6)), "storage '9' is missing, compressed or too long"),
        (tensor((1,), (1,), of=storage("../0", 6)), "storage '../0' is missing, compressed or too long"),
        (tensor((1,), (1,), of=storage("0", 6, "ComplexFloatStorage")), "numbers of kind ComplexFloatStorage"),
        (tensor((1,), (1,)) + b"0" + tensor((1,), (1,), of=storage("0", 3, "DoubleStorage")), "its pickle uses POP"),
        (tensor((1,), (1,), of=group(word("storage")) + b"Q"), "it refers to something that is no storage"),
        (group(group(word("x"))) + b"u", "damaged"),
    ],
)
def test_tensors_that_lie(described: bytes, why: str, tmp_path: Path) -> None:
    assert refusal(checkpoint(table(a=described)), tmp_path).startswith(why)


class TestBombs:
    def test_a_storage_that_unpacks_to_much(self, tmp_path: Path) -> None:
        data = checkpoint(table(a=tensor((6,), (1,))), {"0": bytes(24)}, zipfile.ZIP_DEFLATED)
        assert refusal(data, tmp_path) == "storage '0' is missing, compressed or too long"

    def test_a_pickle_that_unpacks_to_much(self, tmp_path: Path) -> None:
        data = checkpoint(b"N" * (65 * 2**20), {}, zipfile.ZIP_DEFLATED)
        assert refusal(data, tmp_path).startswith("its pickle is longer than")

    def test_many_tensors_of_one_storage(self, tmp_path: Path) -> None:
        numbers = storage("0", 2500)
        many = {f"t{index}": tensor((2500,), (1,), of=numbers) for index in range(200)}
        data = checkpoint(table(**many), {"0": bytes(10_000)})
        assert refusal(data, tmp_path) == "its tensors hold more than 4 times its bytes"

    def test_a_deep_pickle(self, tmp_path: Path) -> None:
        deep = b")" + b"\x85" * 200_000
        assert refusal(checkpoint(table(a=deep)), tmp_path) == "it holds a: name the one with the weights by --key"
        assert refusal(checkpoint(b"}" + deep + b"Ns"), tmp_path) == "a key is no word or number but a tuple"

    def test_a_pickle_without_end(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr("d2f.weights.torch_file.MOST_OPERATIONS", 1000)
        assert refusal(checkpoint(b"N" * 1000), tmp_path) == "its pickle has more than 1000 operations"

    def test_a_dict_that_holds_itself(self, tmp_path: Path) -> None:
        assert refusal(checkpoint(b"}q\x00" + word("a") + b"h\x00s"), tmp_path).startswith("it holds a: ")

    def test_a_memo_far_away(self) -> None:
        assert interpret(io.BytesIO(START + b"Nr\xff\xff\xff\xff" + END)).value is None


def test_a_damaged_packed_pickle(tmp_path: Path) -> None:
    data = bytearray(checkpoint(table(a=tensor((6,), (1,))), compression=zipfile.ZIP_DEFLATED))
    data[48:60] = bytes(12)
    assert refusal(bytes(data), tmp_path)


def test_no_archive_of_a_checkpoint(tmp_path: Path) -> None:
    assert refusal(b"PK\x03\x04 nothing", tmp_path) == "File is not a zip file"
    assert refusal(b"\x93NUMPY", tmp_path) == "it begins as neither format of PyTorch does"
    assert refusal(pickle.dumps([1, 2]), tmp_path) == "it is a pickle, but none of PyTorch's"


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_damage_is_a_refusal(data: st.DataObject) -> None:
    whole = bytearray((CHECKPOINTS / data.draw(st.sampled_from(["zip.pth", "row.pth", "wrapped.pth"]))).read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=8)):
        whole[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(whole))))
    with suppress(CheckpointRefused, zipfile.BadZipFile, EOFError, RuntimeError, ValueError, OverflowError):
        described_by(bytes(whole[:cut]))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([code.code.encode("latin-1") for code in pickletools.opcodes]) | st.binary(max_size=6)))
def test_any_row_of_operations_ends_in_a_value_or_a_refusal(parts: list[bytes]) -> None:
    with suppress(CheckpointRefused):
        interpret(io.BytesIO(START + b"".join(parts) + END))
