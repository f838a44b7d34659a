"""Which files a run may replace unasked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from d2f.api.errors import D2FError
from d2f.train.folder import made_by_training, require_free
from d2f.weights import write_weights

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
