"""The detector resnet: strict weights, a folded network, abstention without weights; its recipes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from d2f_resnet.network import build_network
from d2f_resnet.stage import DetectorOptions, ResNetDetector
from d2f_resnet.trainable import NetworkOptions

from d2f import D2FError, Tiles
from d2f.models import arrays_of, parameter_count
from d2f.plugins.build import build
from d2f.plugins.catalog import Catalog
from d2f.testing import check_stage
from d2f.train.read import read_recipe
from d2f.train.recipe import NetworkRecipe, recipe_digest
from d2f.weights import read_weights, short_digests, write_weights

PLUGIN = Path(__file__).resolve().parents[2] / "plugins" / "d2f_resnet"
SHIPPED = ("plain", "robust")
TILES = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)


def network(**options: Any) -> Any:
    mx.random.seed(0)
    made = build_network(NetworkOptions(depth=20, **options))
    made.train()
    for _ in range(3):
        mx.eval(made(mx.array(TILES).astype(mx.float32) / 255), made.state)
    made.eval()
    return made


def write(path: Path, made: Any, **options: Any) -> Path:
    facts = {"trainable": "resnet", "tile": "32", "options": json.dumps({"depth": 20, **options})}
    write_weights(path, arrays_of(made), facts, short_digests(["00000000000000ff" + "0" * 48]))
    return path


def detector(path: Path, tile: int = 32, **options: Any) -> ResNetDetector:
    return ResNetDetector(DetectorOptions(weights=str(path), tile=tile, **options))


@pytest.mark.parametrize(
    "options", [{}, {"stem": "early"}, {"residual": False, "logits": 2}, {"normalise": "imagenet"}]
)
def test_the_detector_scores_as_the_trained_network_does(tmp_path: Path, options: dict[str, Any]) -> None:
    made = network(**options)
    stage = detector(write(tmp_path / "w.safetensors", made, **options))
    stage.load()
    logits = np.array(made(mx.array(TILES).astype(mx.float32) / 255))
    expected = logits if logits.ndim == 1 else logits[:, 1] - logits[:, 0]
    np.testing.assert_allclose(stage.score(TILES), expected, atol=1e-4)
    assert stage.trained_on is not None
    assert stage.trained_on.tolist() == [255]
    assert stage.wants == Tiles(4, 32, "grid", "mean", 16)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "w.safetensors", network(), residual=True, depth=32)
    with pytest.raises(D2FError, match="do not fit the model") as caught:
        detector(path).load()
    assert caught.value.problems[0].code == "D2F504"
    with pytest.raises(D2FError, match="trained on tiles of 32 pixels, not of 224") as caught:
        detector(path, 224).load()
    assert "tile: 32" in str(caught.value)
    write_weights(path, arrays_of(network()))
    with pytest.raises(D2FError, match="do not say that they are of `resnet`"):
        detector(path).load()


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_weights_are_what_their_recipe_makes(name: str) -> None:
    recipe = read_recipe(PLUGIN / f"{name}.yaml", Catalog.discover())
    assert isinstance(recipe, NetworkRecipe)
    stage = ResNetDetector(DetectorOptions(weights=name))
    held = read_weights(stage.weights[0])
    assert json.loads(held.metadata["options"]) == dict(recipe.with_)
    expected = ("resnet", str(recipe.seed), str(recipe.tiles.size), "weights")
    assert tuple(held.metadata[key] for key in ("trainable", "seed", "tile", "part")) == expected
    assert 1 <= int(held.metadata["epoch"]) <= recipe.epochs
    assert set(json.loads(held.metadata["measured"])) == {"clean", *recipe.measure}
    assert held.trained_on is not None
    assert len(held.trained_on) == int(held.metadata["images"])
    stage.load()
    np.testing.assert_array_equal(stage.trained_on, held.trained_on)


def test_whole_goes_on_from_robust_by_its_recipe_and_knows_what_both_saw() -> None:
    recipe = read_recipe(PLUGIN / "whole.yaml", Catalog.discover())
    assert isinstance(recipe, NetworkRecipe)
    stage = ResNetDetector(DetectorOptions(weights="whole"))
    held = read_weights(stage.weights[0])
    robust = read_weights(ResNetDetector(DetectorOptions(weights="robust")).weights[0])
    assert held.metadata["recipe"] == recipe_digest(recipe)
    assert held.metadata["start"] == robust.sha256
    assert (held.metadata["epoch"], held.metadata["options"]) == (str(recipe.epochs), robust.metadata["options"])
    assert held.trained_on is not None
    assert robust.trained_on is not None
    assert set(robust.trained_on.tolist()) < set(held.trained_on.tolist())
    stage.load()
    scores = stage.score(np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8))
    assert np.isfinite(scores).all()


def test_robust_goes_on_from_plain() -> None:
    # The same images trained both, so that what validates was seen by neither.
    plain, robust = (read_weights(ResNetDetector(DetectorOptions(weights=name)).weights[0]) for name in SHIPPED)
    assert plain.trained_on is not None
    assert robust.trained_on is not None
    assert set(plain.trained_on.tolist()) == set(robust.trained_on.tolist())
    assert sum(array.nbytes for array in robust.arrays.values()) < 4e6


def test_plain_is_the_founders_recipe() -> None:
    recipe = read_recipe(PLUGIN / "plain.yaml", Catalog.discover())
    assert isinstance(recipe, NetworkRecipe)
    assert (recipe.optimiser.rate, recipe.optimiser.momentum, recipe.optimiser.decay) == (0.01, 0.9, 0.0005)
    assert [one.use for one in recipe.augment] == ["flip"]
    assert recipe.balance.by == "smallest"
    assert recipe.tiles.size == 224


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_weights_keep_their_contract(name: str) -> None:
    assert not check_stage(ResNetDetector, kind="detector", options={"weights": name}).failed


def test_unknown_weights_are_refused() -> None:
    with pytest.raises(D2FError, match="unknown weights 'robst'") as caught:
        ResNetDetector(DetectorOptions(weights="robst"))
    assert "robust" in str(caught.value)


def test_the_early_stem_has_a_few_parameters_more() -> None:
    # 16 channels of 4x4x3 in place of 3x3x3.
    published, early = (
        parameter_count(build_network(NetworkOptions(depth=44, stem=stem))) for stem in ("cifar", "early")
    )
    assert early - published == 16 * 3 * (16 - 9)


def test_a_trained_detector_keeps_its_contract(tmp_path: Path) -> None:
    path = write(tmp_path / "w.safetensors", network(stem="early"), stem="early")
    report = check_stage(ResNetDetector, kind="detector", options={"weights": str(path), "tile": 32})
    assert not report.failed


@pytest.mark.parametrize(
    ("trainable", "options", "tile"),
    [
        *(("resnet", {"depth": depth}, 32) for depth in (20, 32, 44, 56, 110, 18, 34, 50)),
        ("resnet", {"depth": 20, "residual": False, "stem": "early"}, 32),
        ("resnet", {"depth": 18, "residual": False, "logits": 2, "normalise": "imagenet"}, 32),
        ("vgg", {"depth": "small"}, 28),
        *(("vgg", {"depth": depth, "batch_norm": depth < 16}, 32) for depth in (11, 13, 16, 19)),
    ],
)
def test_every_family_is_trainable_and_its_weights_are_a_detectors(
    tmp_path: Path, trainable: str, options: dict[str, Any], tile: int
) -> None:
    import mlx.core as mx

    stage = build(Catalog.discover(), "trainable", trainable, options)
    network = stage.build()
    network.eval()
    facts = {"trainable": trainable, "options": json.dumps(options), "tile": str(tile)}
    write_weights(tmp_path / "w.safetensors", arrays_of(network), facts)
    detector = build(
        Catalog.discover(), "detector", "resnet", {"weights": str(tmp_path / "w.safetensors"), "tile": tile}
    )
    detector.load()
    tiles = np.random.default_rng(0).integers(0, 256, (2, tile, tile, 3), np.uint8)
    logits = np.array(network(mx.array(tiles).astype(mx.float32) / 255.0))
    expected = logits if logits.ndim == 1 else logits[:, 1] - logits[:, 0]
    assert np.allclose(detector.score(tiles), expected, atol=1e-3 * max(1.0, np.abs(expected).max()))
