"""A run that starts from published weights: their names, a frozen backbone, normalised pixels, a detector."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from d2f_resnet.stage import DetectorOptions, ResNetDetector
from d2f_resnet.trainable import ResNetTrainable

from d2f.api.errors import D2FError
from d2f.models import ResNet, from_published, load_arrays, resnet_shape
from d2f.plugins.catalog import Catalog
from d2f.train.folder import RUN
from d2f.train.recipe import NetworkRecipe
from d2f.train.run import SilentWatcher, TrainedModel, TrainRequest
from d2f.train.run import train as train_model
from d2f.weights import read_weights, write_weights
from tests.unit.models import state_dicts
from tests.unit.models.seeded import Array, state_dict
from tests.unit.train.network_toys import RECIPE, write_pictures
from tests.unit.train.test_network import Said

RESNET: dict[str, Any] = {
    **RECIPE,
    "train": "resnet",
    "with": {"depth": 18, "normalise": "imagenet"},
    "tiles": {"size": 32, "count": 1},
    "epochs": 2,
}
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@cache
def published() -> dict[str, Array]:
    """Return a ResNet-18 of 1000 classes under torchvision's names."""
    return state_dict(state_dicts.resnet(18))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("start")
    write_pictures(folder / "set")
    write_weights(folder / "published.safetensors", published())
    return folder


def train(folder: Path, name: str, watcher: Any = None, resume: bool = False, **changes: Any) -> TrainedModel:
    start = {"weights": str(folder / "published.safetensors"), "publisher": "torchvision"}
    plain = {**RESNET, "start": start}
    recipe = NetworkRecipe.model_validate(plain).changed({key.replace("__", "."): one for key, one in changes.items()})
    request = TrainRequest(folder / f"{name}.safetensors", str(folder / "set"), resume=resume)
    return train_model(recipe, Catalog.of(ResNetTrainable), request, watcher or SilentWatcher())


@pytest.fixture(scope="module")
def frozen(folder: Path) -> tuple[TrainedModel, list[str]]:
    """Return a run whose backbone was frozen, and what it said."""
    said: list[str] = []
    return train(folder, "frozen", Said(said), start__freeze="head"), said


def changed(found: dict[str, Any], wanted: dict[str, Any]) -> set[str]:
    """Return the layers whose arrays differ."""
    assert found.keys() >= wanted.keys()
    names = [name for name in wanted if not np.array_equal(found[name], wanted[name])]
    return {".".join(name.split(".")[: 2 if name.startswith("stages") else 1]) for name in names}


def test_a_frozen_backbone_stays_as_it_was_published(folder: Path, frozen: tuple[TrainedModel, list[str]]) -> None:
    made, said = frozen
    held = read_weights(made.weights)
    before = from_published(published(), "torchvision", drop_head=True).arrays
    assert changed(held.arrays, dict(before)) == set()
    assert held.arrays["head.weight"].shape == (1, 512)
    log = [json.loads(line) for line in (made.folder / "log.jsonl").read_text().splitlines()]
    assert log[0]["parameters"] == 512 + 1
    assert log[0]["start"] == held.metadata["start"] == read_weights(folder / "published.safetensors").sha256
    assert log[1]["loss"] != log[2]["loss"]
    assert not [line for line in said if "normalis" in line]


def test_from_a_named_layer_on_it_learns(folder: Path) -> None:
    made = train(folder, "partly", start__freeze="layer4", epochs=1)
    before = from_published(published(), "torchvision", drop_head=True).arrays
    assert changed(dict(read_weights(made.weights).arrays), dict(before)) == {"stages.3"}


def test_the_detector_normalises_by_itself(frozen: tuple[TrainedModel, list[str]]) -> None:
    made, _ = frozen
    tiles = np.random.default_rng(6).integers(0, 256, (3, 32, 32, 3), np.uint8)
    stage = ResNetDetector(DetectorOptions(weights=str(made.weights), tile=32))
    stage.load()
    # The same arrays in a network that leaves pixels alone, given pixels that NumPy has normalised.
    bare = ResNet(resnet_shape(18))
    load_arrays(bare, read_weights(made.weights).arrays)
    pixels = ((tiles / 255.0 - MEAN) / DEVIATION).astype(np.float32)
    np.testing.assert_allclose(stage.score(tiles), np.array(bare.eval()(mx.array(pixels))), atol=1e-3)


def test_a_frozen_run_that_was_ended_goes_on_to_the_same_weights(folder: Path) -> None:
    class Ended(Exception):
        pass

    class Stopper(SilentWatcher):
        def step(self, epoch: int, done: int, total: int, loss: float, rate: float) -> None:
            if epoch == 1:
                raise Ended

    changes = {"start__freeze": "head", "optimiser__use": "adam", "optimiser__rate": 1e-3}
    whole = train(folder, "whole", **changes)
    with pytest.raises(Ended):
        train(folder, "ended", Stopper(), **changes)
    assert train(folder, "ended", resume=True, **changes).sha256 == whole.sha256


def test_other_starting_weights_are_no_run_to_go_on_with(folder: Path, frozen: tuple[TrainedModel, list[str]]) -> None:
    shutil.copytree(frozen[0].folder, folder / "other.run")
    facts = json.loads((folder / "other.run" / RUN).read_text())
    (folder / "other.run" / RUN).write_text(json.dumps({**facts, "start": "0" * 64}))
    with pytest.raises(D2FError, match="started from other weights") as caught:
        train(folder, "other", resume=True, start__freeze="head")
    assert caught.value.problems[0].code == "D2F623"


def test_what_does_not_fit_is_told_before_images_are_read(folder: Path) -> None:
    class NoImages(SilentWatcher):
        def images(self, done: int, total: int) -> None:
            pytest.fail("images were read")

    for code, text, changes in (
        ("D2F606", "start.freeze: the network has no layer 'layer9'", {"start__freeze": "layer9"}),
        ("D2F504", "do not fit the model", {"with": {"depth": 34}}),
        ("D2F504", "do not fit the model", {"start__publisher": "d2f"}),
        ("D2F502", "nothing.safetensors", {"start__weights": str(folder / "nothing.safetensors")}),
    ):
        with pytest.raises(D2FError) as caught:
            train(folder, "unfit", NoImages(), **changes)
        assert caught.value.problems[0].code == code
        assert text in str(caught.value)


def test_a_network_that_is_not_the_one_of_its_weights_is_said(folder: Path) -> None:
    said: list[str] = []
    made = train(folder, "bare", Said(said), start__freeze="head", epochs=1, **{"with": {"depth": 18}})
    assert [line for line in said if line.startswith("torchvision's weights were made with normalised pixels")]
    said.clear()
    train(folder, "next", Said(said), start={"weights": str(made.weights), "freeze": "head"}, epochs=1)
    assert f"'{made.weights}' was made with other options: normalise: null" in said
