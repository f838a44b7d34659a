"""The detector frequency-residual: its shipped weights, its window, strict reading, its recipe."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import d2f_frequency_residual
import mlx.core as mx
import numpy as np
import pytest
from d2f_frequency_residual.network import SpectralNetwork
from d2f_frequency_residual.stage import RECORDS, NetworkOptions, central

from d2f import D2FError, Detector, GradientTrainable, Needs, WholeImage
from d2f.models import arrays_of, load_arrays
from d2f.plugins.build import build
from d2f.plugins.catalog import Catalog
from d2f.train.read import read_recipe
from d2f.train.recipe import NetworkRecipe
from d2f.weights import read_weights, write_weights
from tests.plugins.pictures import PHOTOGRAPHS, noise_picture, photograph

FOLDER = Path(d2f_frequency_residual.__file__).parent
BYTES = 1_000_000


def detector(**options: Any) -> Any:
    stage = build(Catalog.discover(), "detector", "frequency-residual", options)
    stage.load()
    return stage


@pytest.fixture(scope="module")
def loaded() -> Any:
    return detector()


def test_it_keeps_the_contracts(loaded: Any) -> None:
    assert isinstance(loaded, Detector)
    assert loaded.wants == WholeImage()
    assert isinstance(build(Catalog.discover(), "trainable", "frequency-residual", {}), GradientTrainable)


def test_a_score_is_the_networks_logit_of_the_central_window(loaded: Any) -> None:
    held = read_weights(RECORDS[0])
    network = SpectralNetwork(NetworkOptions.model_validate(json.loads(held.metadata["options"])))
    load_arrays(network, held.arrays)
    network.eval()
    pictures = [photograph(name) for name in PHOTOGRAPHS]
    windows = [np.ascontiguousarray(central(each, 512)) for each in pictures]
    expected = [float(network(mx.array(each)[None].astype(mx.float32) / 255)[0]) for each in windows]
    assert loaded.score(pictures) == pytest.approx(expected, abs=1e-4)


def test_a_score_does_not_depend_on_the_batch_or_its_order(loaded: Any) -> None:
    pictures = [photograph(name) for name in PHOTOGRAPHS] + [noise_picture(100, 130, seed) for seed in range(3)]
    together, alone = loaded.score(pictures), [loaded.score([each])[0] for each in pictures]
    assert together == pytest.approx(alone, abs=1e-4)


@pytest.mark.parametrize(
    ("height", "width", "corner"), [(512, 512, (0, 0)), (600, 700, (32, 80)), (90, 2000, (0, 736))]
)
def test_the_window_begins_where_blocks_of_jpeg_do(height: int, width: int, corner: tuple[int, int]) -> None:
    pixels = noise_picture(height, width)
    found = central(pixels, 512)
    top, left = corner
    assert np.array_equal(found, pixels[top : top + 512, left : left + 512])
    assert found.shape[:2] == (min(height, 512), min(width, 512))


def test_only_the_window_is_looked_at(loaded: Any) -> None:
    picture = noise_picture(200, 200)
    framed = np.pad(picture[64:128, 64:128], ((64, 72), (64, 72), (0, 0)))
    small = detector(window=64)
    assert small.score([picture])[0] == pytest.approx(small.score([framed])[0], abs=1e-4)
    assert loaded.score([picture])[0] != pytest.approx(loaded.score([framed])[0], abs=1e-2)


def test_what_it_needs_of_a_view() -> None:
    assert detector().needs == Needs(side=64, deviation=1e-4, window=512)
    assert detector(window=100).needs.window == 100


def test_the_shipped_weights_are_the_recorded_ones_and_small(loaded: Any) -> None:
    held = read_weights(RECORDS[0])
    assert held.sha256 == RECORDS[0].sha256 == loaded.weights[0].sha256
    assert len(loaded.trained_on) == int(held.metadata["images"])
    assert held.metadata["part"] == "weights"
    assert (FOLDER / "default.safetensors").stat().st_size < BYTES


def test_the_shipped_weights_were_made_by_the_shipped_recipe() -> None:
    recipe = read_recipe(FOLDER / "recipe.yaml", Catalog.discover())
    assert isinstance(recipe, NetworkRecipe)
    plain = recipe.plain()
    # The weights were made when `protocol: crop` was spelled `matched: true` and nothing could be excluded.
    plain["data"] = {key: value for key, value in plain["data"].items() if key not in ("folder", "exclude")}
    plain["copies"] = {"matched": True, **plain["copies"]}
    assert plain["copies"].pop("protocol") == "crop"
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
    assert read_weights(RECORDS[0]).metadata["recipe"] == f"sha256:{digest}"


def test_the_card_holds_the_weights_digest_and_what_they_were_measured_to_do() -> None:
    card, held = (FOLDER / "README.md").read_text("utf-8"), read_weights(RECORDS[0])
    assert RECORDS[0].sha256 in card
    for name, figures in json.loads(held.metadata["measured"]).items():
        assert f"| {name} | {figures['auc']:.3f} |" in card


@pytest.mark.skipif("D2F_DATA" not in os.environ, reason="D2F_DATA names no folder of images")
def test_the_weights_were_trained_on_images_of_the_weights_part_alone(loaded: Any) -> None:
    from d2f.data.split import shipped_split
    from tests.chains.fitted_set import digests, need_edition, train_set

    need_edition(loaded.trained_on)
    assert np.isin(loaded.trained_on, digests(shipped_split(train_set()).weights)).all()


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    arrays = arrays_of(SpectralNetwork(NetworkOptions(scales=2)))
    write_weights(path, arrays)
    with pytest.raises(D2FError, match="do not say that they are of `frequency-residual`"):
        detector(weights=str(path))
    write_weights(path, arrays, {"trainable": "frequency-residual", "options": "{}"})
    with pytest.raises(D2FError, match="D2F504"):
        detector(weights=str(path))
    write_weights(path, arrays, {"trainable": "frequency-residual", "options": '{"scales": 2}'})
    assert np.isfinite(detector(weights=str(path)).score([photograph()])[0])
