"""What a run may replace, and the scalars that it leaves."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from d2f.api.errors import D2FError
from d2f.train.folder import made_by_training, require_free
from d2f.train.report import ValidationFigures, write_scalars
from d2f.weights import write_weights
from tests.full_disk import full_disk
from tests.unit.train.network_toys import recipe, trained
from tests.unit.train.test_network import Said

# Which files a run may replace unasked.


FACTS = {"d2f": "1", "trainable": "toy", "recipe": "sha256:1", "data": "sha256:2", "seed": "0"}


ARRAYS = {"bias": np.zeros(2, np.float32)}


def test_weights_of_a_run_are_known_by_what_they_say(tmp_path: Path) -> None:
    write_weights(tmp_path / "own.safetensors", ARRAYS, FACTS)
    write_weights(tmp_path / "other.safetensors", ARRAYS, {"format": "pt"})
    (tmp_path / "broken.safetensors").write_bytes(b"\x00" * 9)
    known = {path.stem: made_by_training(path) for path in tmp_path.iterdir()}
    assert known == {"own": True, "other": False, "broken": False}


def test_the_copy_beside_weights_is_one_of_their_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", bias=ARRAYS["bias"])
    assert not made_by_training(tmp_path / "own.npz")
    write_weights(tmp_path / "own.safetensors", ARRAYS, FACTS)
    assert made_by_training(tmp_path / "own.npz")
    np.savez(tmp_path / "own.npz", measurements=np.zeros(3))
    assert not made_by_training(tmp_path / "own.npz")


def test_a_link_to_nowhere_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "nowhere")
    with pytest.raises(D2FError, match="already exists"):
        require_free([tmp_path / "link.safetensors"])
    require_free([tmp_path / "link.safetensors"], overwrite=True)
    require_free([tmp_path / "new" / "folder" / "file.npz"])


# TensorBoard's scalars: read back by its own reader's messages, and on a disk that has no room for them.


FIGURES = ValidationFigures(
    4, 0.5, 0.75, 0.7, 0.8, 0.875, 0.5, {}, {"real": 1.0, "toy": 0.25}, [[2, 0], [1, 1]], np.zeros(4)
)


def records(data: bytes) -> Iterator[bytes]:
    """Yield the events of a file, each held to both its checksums."""
    from tensorboardX.record_writer import masked_crc32c

    while data:
        length, checked = struct.unpack("<QI", data[:12])
        assert checked == masked_crc32c(data[:8])
        event, data = data[12 : 12 + length], data[12 + length :]
        assert struct.unpack("<I", data[:4])[0] == masked_crc32c(event)
        data = data[4:]
        yield event


def events(data: bytes) -> list[Any]:
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    return [Event.FromString(event) for event in records(data)]


def test_another_s_reader_finds_every_scalar(tmp_path: Path) -> None:
    assert write_scalars(tmp_path, 300, 0.6, 1e-3, FIGURES) == ""
    (file,) = (tmp_path / "tensorboard").iterdir()
    assert file.name.startswith("events.out.tfevents.")
    first, start, told = events(file.read_bytes())
    assert first.file_version == "brain.Event:2"
    assert (start.step, start.session_log.status) == (300, start.session_log.START)
    assert told.step == 300
    assert told.wall_time == pytest.approx(file.stat().st_mtime, abs=60)
    assert {value.tag: value.simple_value for value in told.summary.value} == pytest.approx(
        {
            "training/loss": 0.6,
            "training/rate": 1e-3,
            "validation/loss": 0.5,
            "validation/accuracy": 0.75,
            "validation/balanced_accuracy": 0.7,
            "validation/f1": 0.8,
            "validation/auc": 0.875,
            "called right/real": 1.0,
            "called right/toy": 0.25,
        }
    )


def test_without_tensorboardx_it_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("d2f.train.report.find_spec", lambda name: None)
    said = [write_scalars(tmp_path, epoch, 0.6, 1e-3, FIGURES) for epoch in (1, 2)]
    assert said == ["no TensorBoard scalars: tensorboardX is not installed (pip install 'd2f[train]')", ""]
    assert not (tmp_path / "tensorboard").exists()


def test_a_disk_without_room_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    with full_disk():
        said = write_scalars(tmp_path, 2, 0.6, 1e-3, FIGURES)
    assert said == "epoch 2 is missing from TensorBoard's scalars: File too large"
    assert list((tmp_path / "tensorboard").iterdir()) == []


def test_training_goes_on_without_them(tmp_path: Path) -> None:
    whole = trained(tmp_path, "whole", recipe())
    said: list[str] = []
    (tmp_path / "without.run").mkdir()
    (tmp_path / "without.run" / "tensorboard").write_text("no folder")
    made = trained(tmp_path, "without", recipe(), Said(said))
    assert made.sha256 == whole.sha256
    assert [line for line in said if line.startswith("epoch ")] == [
        f"epoch {epoch} is missing from TensorBoard's scalars: File exists" for epoch in (1, 2)
    ]
