"""The table of towers as far as it goes without PyTorch: records, shapes, tokens."""

from __future__ import annotations

from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from d2f_towers.records import RECORDS
from d2f_towers.towers import TOWERS, mean_token, read_tower, tiny, tokens_of

from d2f import D2FError, WeightsMissing
from d2f.models import Normalisation, ViT, arrays_of, parameter_count
from d2f.weights import as_record, resolve, write_weights

MILLIONS = {"vits": 22, "vitb": 87, "vitl": 305, "so400m": 428}
"""Parameters as the field states them for these sizes, heads and positions aside."""


def test_every_tower_has_a_record_and_every_record_a_tower() -> None:
    assert [record.name for record in RECORDS] == list(TOWERS)
    for record in RECORDS[2:]:
        assert record.sources[0].startswith("hf://")
        assert record.untested == record.sources
        assert ("gated" in record.licence) == record.name.startswith("dinov3")
        # What is pinned is pinned to a revision too.
        assert record.sources[0].endswith("@main") == (not record.sha256)


@pytest.mark.parametrize("name", ["dinov2-vits14", "clip-vitb16", "dinov3-vitb16", "pe-vitb16"])
def test_towers_are_as_large_as_stated(name: str) -> None:
    size = next(millions for kind, millions in MILLIONS.items() if kind in name)
    assert parameter_count(ViT(TOWERS[name].shape)) == pytest.approx(size * 1e6, rel=0.09)


@pytest.mark.parametrize("name", TOWERS)
def test_input_patches_and_framing_agree(name: str) -> None:
    tower = TOWERS[name]
    assert tower.framing.size == (tower.shape.size, tower.shape.size)
    assert tower.shape.size % tower.shape.patch == 0
    assert tower.shape.width % (4 * tower.shape.heads) == 0


@pytest.mark.parametrize("name", TOWERS)
def test_tokens_of_each_architecture(name: str) -> None:
    tower = tiny(TOWERS[name])
    mx.random.seed(1)
    network = ViT(tower.shape, Normalisation(tower.framing.mean, tower.framing.deviation))
    random = np.random.default_rng(4)
    views = random.integers(0, 256, (3, 90, 70, 3), dtype=np.uint8)
    framed = np.stack([tower.framing.frame(view) for view in views])
    both = tokens_of(network, (1, 2))(framed)
    assert both.shape == (3, 32)
    assert np.isfinite(both).all()
    # Of the last block that is asked for only one row is computed, which a BLAS may sum in another order.
    np.testing.assert_allclose(tokens_of(network, (1,))(framed), both[:, :16], atol=1e-6)
    # A picture's tokens do not depend on the others.
    np.testing.assert_array_equal(tokens_of(network, (1, 2))(framed[1:2]), both[1:2])
    means = tokens_of(network, (2,), mean_token)(framed)
    assert (np.abs(means - both[:, 16:]).max() < 1e-6) == (tower.shape.prefix == 0)


def test_weights_of_another_tower_are_refused(tmp_path: Path) -> None:
    other = tiny(TOWERS["dinov2-vits14"])
    path = tmp_path / "other.safetensors"
    write_weights(path, arrays_of(ViT(other.shape)))
    with pytest.raises(D2FError) as caught:
        read_tower(as_record(path), tiny(TOWERS["dinov3-vits16"]))
    assert caught.value.problems[0].code == "D2F504"


def test_without_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("D2F_CACHE", str(tmp_path))
    with pytest.raises(WeightsMissing) as caught:
        read_tower(resolve("clip-vitb16", RECORDS), TOWERS["clip-vitb16"])
    assert caught.value.problems[0].notes == ("to fetch them: d2f weights pull clip-vitb16",)


def test_the_card_lists_every_tower() -> None:
    import d2f_towers

    card = (Path(d2f_towers.__file__).parent / "README.md").read_text("utf-8")
    rows = {row.split("|")[1].strip(" `"): row for row in card.splitlines() if row.startswith("| `")}
    assert list(rows) == list(TOWERS)
    for record in RECORDS:
        tower = TOWERS[record.name]
        assert record.licence.partition(";")[0] in rows[record.name]
        assert f"{tower.shape.size}" in rows[record.name]
        assert tower.framing.interpolation in rows[record.name]
        assert ("pinned" in rows[record.name]) == bool(record.sha256)
