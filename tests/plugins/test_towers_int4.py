"""The tower that ships at four bits: its file, and what it makes of pictures beside the tower that it is made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from d2f_towers.int4_file import GROUP, LEVELS, _unpacked, int4_arrays, main, packed
from d2f_towers.records import RECORDS
from d2f_towers.self_test import tower_output
from d2f_towers.towers import TOWERS, read_tower, tokens_of

from d2f import D2FError
from d2f.files import file_sha256
from d2f.framing import Framing
from d2f.testing import camera_picture
from d2f.weights import as_record, resolve, write_weights
from d2f.weights.sources import located

NAME = "clip-vit-b16-first8"
SHIPPED, TOWER = resolve(NAME, RECORDS), TOWERS[NAME]
fetched = pytest.mark.skipif(located(RECORDS[0]) is None, reason="d2f weights pull clip-vit-b16")


def test_a_weight_is_read_back_to_a_step_and_the_rest_to_half_precision(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    weight = random.normal(0, 0.05, (6, 3 * GROUP)).astype(np.float32)
    weight[2, GROUP : 2 * GROUP] = 0.25  # a group of one value
    arrays = {"blocks.0.fc1.weight": weight, "blocks.0.fc1.bias": random.normal(size=6).astype(np.float32)}
    write_weights(tmp_path / "packed.safetensors", packed(arrays))
    found = int4_arrays(as_record(tmp_path / "packed.safetensors"))
    assert found.keys() == arrays.keys()
    grouped = weight.reshape(6, 3, GROUP)
    step = np.ptp(grouped, axis=2, keepdims=True) / LEVELS
    off = np.abs(found["blocks.0.fc1.weight"].reshape(6, 3, GROUP) - grouped)
    # Scale and offset are in half precision: 2^-11 of each, up to fifteen scales.
    assert (off <= step * (1 + LEVELS / 2048) + np.abs(grouped).max() / 1024).all()
    assert off.max() > step.max() / 4
    np.testing.assert_array_equal(found["blocks.0.fc1.bias"], arrays["blocks.0.fc1.bias"].astype(np.float16))


def test_levels_that_four_bits_can_hold_are_exact(tmp_path: Path) -> None:
    levels = np.random.default_rng(4).integers(0, LEVELS + 1, (8, 2 * GROUP)).astype(np.float32)
    levels[:, [0, GROUP]], levels[:, [1, GROUP + 1]] = 0, LEVELS
    arrays = {"blocks.0.out.weight": levels * np.float32(0.125) - 1}
    write_weights(tmp_path / "packed.safetensors", packed(arrays))
    found = int4_arrays(as_record(tmp_path / "packed.safetensors"))
    np.testing.assert_array_equal(found["blocks.0.out.weight"], arrays["blocks.0.out.weight"])


def test_the_layout_is_that_of_mlx() -> None:
    weight = np.random.default_rng(5).normal(0, 0.05, (4, 4 * GROUP)).astype(np.float32)
    arrays = packed({"blocks.0.qkv.weight": weight})
    levels, scale, offset = (arrays[f"blocks.0.qkv.weight.{kind}"] for kind in ("packed", "scale", "offset"))
    given = mx.array(levels.view(np.uint32)), *(mx.array(one.astype(np.float32)) for one in (scale, offset))
    read = np.array(mx.dequantize(*given, group_size=GROUP, bits=4))
    np.testing.assert_array_equal(read, _unpacked(arrays, "blocks.0.qkv.weight"))


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: arrays.pop("blocks.0.out.weight.scale"),
        lambda arrays: arrays.pop("blocks.0.out.weight.offset"),
        lambda arrays: arrays.update({"blocks.0.out.weight.packed": np.zeros((2, GROUP), np.float32)}),
        lambda arrays: arrays.update({"blocks.0.out.weight.packed": np.zeros((2, GROUP), np.uint16)}),
        lambda arrays: arrays.update({"blocks.0.out.weight.scale": np.ones((2, 1), np.float16)}),
        lambda arrays: arrays.update({"blocks.0.out.weight.offset": np.ones((1, 2), np.float16)}),
    ],
)
def test_a_file_whose_parts_do_not_fit_is_refused(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    arrays = packed({"blocks.0.out.weight": np.ones((2, 2 * GROUP), np.float32)})
    change(arrays)
    write_weights(tmp_path / "a.safetensors", arrays)
    with pytest.raises(D2FError, match="not a tower packed to four bits") as caught:
        int4_arrays(as_record(tmp_path / "a.safetensors"))
    assert caught.value.problems[0].code == "D2F504"


def test_another_file_in_its_place_is_refused(tmp_path: Path) -> None:
    write_weights(tmp_path / "a.safetensors", packed({"blocks.0.out.weight": np.ones((2, GROUP), np.float32)}))
    with pytest.raises(D2FError) as caught:
        read_tower(as_record(tmp_path / "a.safetensors"), TOWER)
    assert caught.value.problems[0].code == "D2F504"


def test_the_file_that_ships_is_the_recorded_one_and_passes_its_self_test() -> None:
    assert located(SHIPPED) is not None
    test = tower_output(SHIPPED)
    assert test.expected is not None
    np.testing.assert_allclose(test.output, test.expected, atol=2e-4)


@fetched
def test_its_tokens_are_near_those_of_the_tower_that_it_is_made_of() -> None:
    framing: Framing = TOWER.framing
    pictures = np.stack([framing.frame(camera_picture(300, 400, seed=seed)) for seed in range(3)])
    blocks = (5, 8)
    found, whole = (
        tokens_of(read_tower(record, TOWERS[record.name]), blocks)(pictures).reshape(3, 2, -1)
        for record in (SHIPPED, RECORDS[0])
    )
    cosines = (found * whole).sum(-1) / np.linalg.norm(found, axis=-1) / np.linalg.norm(whole, axis=-1)
    assert cosines.min() > 0.98
    # And they are its own: four bits show.
    assert np.abs(found - whole).max() > 1e-3


@fetched
def test_one_command_makes_the_file_that_ships_to_the_byte(tmp_path: Path) -> None:
    assert main(["-o", str(tmp_path / "made.safetensors")]) == 0
    assert file_sha256(str(tmp_path / "made.safetensors")) == SHIPPED.sha256


def test_the_command_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("D2F_CACHE", str(tmp_path))
    assert main(["-o", str(tmp_path / "made.safetensors")]) == 2
    assert "d2f weights pull clip-vit-b16" in capsys.readouterr().err
