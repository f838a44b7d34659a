"""A network from pictures to a weights file, from scratch or from published weights, and what goes wrong on the way."""

from __future__ import annotations

import hashlib
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
from pydantic import BaseModel, ConfigDict

from d2f.api.errors import D2FError, Problem, WeightsMissing
from d2f.models import ResNet, from_published, load_arrays, resnet_shape
from d2f.plugins.catalog import Catalog
from d2f.train.folder import BEST, RUN, read_log
from d2f.train.recipe import NetworkRecipe
from d2f.train.run import SilentWatcher, TrainedModel, TrainRequest, train_model
from d2f.train.stepping import step_peak
from d2f.weights import read_weights, short_digests, write_weights
from tests.unit.models import state_dicts
from tests.unit.models.seeded import Array, state_dict
from tests.unit.train.network_toys import RECIPE, Options, ToyTrainable, recipe, trained, write_pictures

# A run from pictures to a weights file, and what goes wrong on the way.


def lines(folder: Path, event: str = "epoch") -> list[dict[str, Any]]:
    """Return a log's lines without what differs between equal runs."""
    kept = read_log(folder / "log.jsonl", event)
    spent = ("seconds", "waited", "waited_share", "validation_seconds", "resumed")
    return [{key: value for key, value in line.items() if key not in spent} for line in kept]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


def test_a_run_leaves_all_that_a_person_needs(folder: Path) -> None:
    made = trained(
        folder, "whole", recipe(epochs=3, measure=["jpeg:60"], augment=[{"use": "flip", "probability": 0.5}])
    )
    names = {path.name for path in made.folder.iterdir()}
    assert names >= {"recipe.json", "environment.json", "run.json", "log.jsonl", "best.safetensors", "last.safetensors"}
    assert names >= {"card.md", "curves.png", "confusion.png", "mistakes.jsonl", "mistakes.html"}
    assert not [name for name in names if name.endswith((".tiles", ".part"))]
    start, *_ = read_log(made.folder / "log.jsonl", "start")
    assert start["parameters"] == 3 * 4 * 9 + 4 + 4 + 1
    assert start["tiles"] == {"before": [18, 18], "epoch": [18, 18]}
    epoch, *_ = read_log(made.folder / "log.jsonl", "epoch")
    assert 0 <= epoch["waited_share"] <= 1
    assert set(epoch["validation"]["generators"]) == {"real", "toy"}
    assert "| jpeg:60 | 6 |" in (made.folder / "card.md").read_text()


def test_the_weights_file_says_what_it_is_of(folder: Path) -> None:
    made = trained(folder, "said", recipe())
    held = read_weights(made.weights)
    assert held.sha256 == made.sha256
    assert json.loads(held.metadata["measured"])["clean"]["images"] == 6
    assert held.metadata["trainable"] == "toy-network"
    assert held.trained_on is not None
    assert len(held.trained_on) == 18
    every = short_digests(hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "set").rglob("*.png"))
    assert set(held.trained_on.tolist()) < set(every.tolist())
    with np.load(made.weights.with_suffix(".npz"), allow_pickle=False) as archive:
        assert set(archive.files) == set(held.arrays)
    best = read_weights(made.folder / BEST).arrays
    assert all((best[name] == held.arrays[name]).all() for name in best)


def test_equal_runs_write_equal_weights_whoever_feeds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = recipe(augment=[{"use": "jpeg", "draw": {"quality": [50, 90]}, "probability": 0.5}], tiles__pick="random")
    one = trained(folder, "one", wanted)
    monkeypatch.setattr("d2f.train.tiles.find_spec", lambda name: None)
    said: list[str] = []
    other = trained(folder, "other", wanted, Said(said), workers=3)
    assert sum("mlx-data is not installed" in line for line in said) == 1
    assert read_log(other.folder / "log.jsonl", "start")[0]["feeder"] == "threads"
    assert one.sha256 == other.sha256


def test_tensorboard_has_a_file_for_each_epoch(folder: Path) -> None:
    made = trained(folder, "scalars", recipe(epochs=2))
    files = sorted((made.folder / "tensorboard").iterdir())
    assert [file.name.rpartition(".")[2] for file in files] == ["00001", "00002"]
    assert b"validation/auc" in files[0].read_bytes()


def test_a_run_may_start_from_weights_and_says_what_they_saw(folder: Path) -> None:
    write_pictures(folder / "early" / "set", seed=9)
    first = trained(folder / "early", "first", recipe(**{"with": {"logits": 2}}))
    made = trained(folder, "second", recipe(epochs=1, start={"weights": str(first.weights)}, optimiser__rate=1e-9))
    one, two = read_weights(first.weights), read_weights(made.weights)
    np.testing.assert_allclose(two.arrays["first.weight"], one.arrays["first.weight"], atol=1e-6)
    assert two.arrays["head.weight"].shape == (1, 4)
    assert one.trained_on is not None
    assert two.trained_on is not None
    assert set(one.trained_on.tolist()) < set(two.trained_on.tolist())
    assert len(two.trained_on) == 36


def test_it_learns(folder: Path) -> None:
    made = trained(folder, "learns", recipe(epochs=40, optimiser={"use": "adam", "rate": 0.05}))
    assert made.figures["clean"].auc == 1.0
    assert made.figures["clean"].loss < 0.4


def test_early_stopping_keeps_the_best(folder: Path) -> None:
    made = trained(folder, "stops", recipe(epochs=30, stop={"patience": 2, "delta": 5.0}))
    assert len(lines(made.folder)) == 3
    assert lines(made.folder, "end")[0]["best_epoch"] == 1


def test_without_room_in_memory_tiles_go_to_a_file_or_are_decoded_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = trained(folder, "plain", recipe())
    defaults = "d2f.train.tiles.TileCache.__init__.__defaults__"
    monkeypatch.setattr(defaults, (5 * 768, 2**30))
    assert trained(folder, "disk", recipe()).sha256 == plain.sha256
    monkeypatch.setattr(defaults, (5 * 768, 7 * 768))
    assert trained(folder, "again", recipe()).sha256 == plain.sha256


def test_a_memory_budget_makes_batches_smaller(folder: Path) -> None:
    said: list[str] = []
    peaks = [step_peak(ToyTrainable(Options()), recipe(), tiles) for tiles in (2, 4)]
    budget = f"{sum(peaks) / 2e6:.6f}MB"
    made = trained(folder, "small", recipe(memory=budget), Said(said))
    update = read_log(made.folder / "log.jsonl", "start")[0]["update"]
    assert update == {"tiles": 8, "batch": 2, "batches": 4}
    assert f"2 tiles at a time fit {budget}" in said
    with pytest.raises(D2FError, match="a step of one tile takes") as caught:
        trained(folder, "too-small", recipe(memory="0.001MB"))
    assert caught.value.problems[0].code == "D2F624"


class Said:
    """Keeps the sentences."""

    def __init__(self, said: list[str]) -> None:
        self.say = said.append

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def refused(folder: Path, wanted: Any, **more: Any) -> D2FError:
    with pytest.raises(D2FError) as caught:
        trained(folder, "refused", wanted, **more)
    return caught.value


def test_broken_images_are_named_all_at_once(tmp_path: Path) -> None:
    write_pictures(tmp_path / "set")
    for name in ("real/place-1/001.png", "generated/toy/place-2/002.png"):
        file = tmp_path / "set" / name
        file.write_bytes(file.read_bytes()[:60])
    error = refused(tmp_path, recipe())
    assert [problem.code for problem in error.problems] == ["D2F620", "D2F620"]
    assert "real/place-1/001.png' cannot be trained on: " in str(error)
    assert "generated/toy/place-2/002.png' cannot be trained on: " in str(error)


def test_an_empty_class_is_refused(tmp_path: Path) -> None:
    shutil.rmtree(write_pictures(tmp_path / "set") / "real")
    assert "there are no photographs" in str(refused(tmp_path, recipe()))


def test_an_attack_that_leaves_no_tile_is_left_out(tmp_path: Path) -> None:
    said: list[str] = []
    made = trained(tmp_path, "shrunk", recipe(epochs=1, measure=["resize:0.25", "resize:0.5"]), Said(said))
    assert list(made.figures) == ["clean", "resize:0.5"]
    assert "resize:0.25 is left out: a label has no tile of 16 pixels" in said


def test_a_label_in_one_part_only_is_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path / "set")
    shutil.rmtree(write_pictures(tmp_path / "other", seed=1) / "generated")
    error = refused(tmp_path, recipe(data__validation=str(tmp_path / "other")))
    assert error.problems[0].code == "D2F621"
    assert "none of the images that validate is generated" in str(error)


def test_images_that_train_and_validate_are_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, recipe(data__validation=str(write_pictures(tmp_path / "set"))))
    assert error.problems[0].code == "D2F604"
    assert "24 of the images that validate are also trained on" in str(error)


def test_the_test_images_are_measured_once_and_may_not_have_been_seen(tmp_path: Path) -> None:
    said: list[str] = []
    apart = write_pictures(tmp_path / "apart", 8, seed=5)
    made = trained(tmp_path, "tested", recipe(data__test=str(apart)), Said(said))
    assert made.figures["test"].images == 16
    assert [line for line in said if line.startswith("measures")] == ["measures test"]
    assert json.loads(read_weights(made.weights).metadata["measured"])["test"]["images"] == 16
    assert "| test | 16 |" in (made.folder / "card.md").read_text()
    shutil.copy(next((tmp_path / "set" / "real").rglob("*.png")), apart / "real" / "seen.png")
    error = refused(tmp_path, recipe(data__test=str(apart)))
    assert error.problems[0].code == "D2F604"
    assert "1 of the images of data.test train or validate" in str(error)


def test_a_broken_test_image_is_told_before_training(tmp_path: Path) -> None:
    file = next((write_pictures(tmp_path / "apart", 4, seed=5) / "real").rglob("*.png"))
    file.write_bytes(file.read_bytes()[:60])
    error = refused(tmp_path, recipe(data__test=str(tmp_path / "apart")))
    assert [problem.code for problem in error.problems] == ["D2F620"]
    assert str(file) in str(error)
    assert not (tmp_path / "refused.run" / "log.jsonl").exists()


def test_a_test_set_without_a_label_or_a_tile_of_it_is_refused_before_training(tmp_path: Path) -> None:
    apart = write_pictures(tmp_path / "apart", 4, seed=5)
    shutil.rmtree(apart / "real")
    error = refused(tmp_path, recipe(data__test=str(apart)))
    assert error.problems[0].code == "D2F621"
    assert "none of the images of data.test is real" in str(error)
    shutil.copytree(write_pictures(tmp_path / "small", 2, side=12, seed=6) / "real", apart / "real")
    error = refused(tmp_path, recipe(data__test=str(apart)))
    assert "none of the test tiles is real" in str(error)
    assert not (tmp_path / "refused.run" / "log.jsonl").exists()


@pytest.mark.parametrize(("key", "said"), [("validation", "those that validate"), ("test", "those of data.test")])
def test_a_run_goes_on_with_the_images_that_it_began_to_be_measured_on(tmp_path: Path, key: str, said: str) -> None:
    wanted = recipe(epochs=1, **{f"data__{key}": str(write_pictures(tmp_path / "other", 4, seed=5))})
    trained(tmp_path, "refused", wanted)
    trained(tmp_path, "refused", wanted, resume=True)
    write_pictures(tmp_path / "other", 5, seed=5)
    error = refused(tmp_path, wanted, resume=True)
    assert error.problems[0].code == "D2F623"
    assert f"is of other images: {said} have changed" in str(error)


def test_class_weights_share_out_the_loss(folder: Path) -> None:
    def loss(weights: list[float] | None) -> float:
        wanted = recipe(batch=36, epochs=1, loss={"class_weights": weights})
        made = trained(folder, f"weighed-{weights}", wanted)
        return float(lines(made.folder)[0]["loss"])

    # Of one update over all tiles: the loss is linear in the weights, which are brought to mean 1.
    real, generated = loss([1.0, 1e-9]), loss([1e-9, 1.0])
    assert loss([1.0, 3.0]) == pytest.approx(0.25 * real + 0.75 * generated, abs=2e-6)
    assert loss(None) == pytest.approx(0.5 * real + 0.5 * generated, abs=2e-6)
    assert abs(real - generated) > 1e-3


def test_tiles_larger_than_every_image_are_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, recipe(tiles__size=64))
    assert "none of the training tiles is real" in str(error)
    assert "tiles are of 64 pixels" in str(error)


def test_a_loss_that_is_not_finite_is_told(tmp_path: Path) -> None:
    error = refused(tmp_path, recipe(optimiser__rate=1e30))
    assert error.problems[0].code == "D2F622"
    assert "at rate 1e+30" in str(error)
    assert "lower optimiser.rate" in str(error)


def test_a_last_update_that_diverges_is_told(tmp_path: Path) -> None:
    # One update an epoch: its loss is that of the untouched network, and finite.
    error = refused(tmp_path, recipe(optimiser__rate=1e38, batch=36, epochs=1))
    assert error.problems[0].code == "D2F622"
    assert "the scores of 12 of 12 tiles are not finite after update 1" in str(error)
    assert "lower optimiser.rate" in str(error)


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno
    import os

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("d2f.files.os.fsync", full)
    error = refused(tmp_path, recipe())
    assert error.problems[0].code == "D2F004"
    assert "No space left on device" in str(error)


def test_a_run_is_not_written_over(tmp_path: Path) -> None:
    trained(tmp_path, "refused", recipe())
    error = refused(tmp_path, recipe())
    assert error.problems[0].code == "D2F623"
    assert "to go on with it: --resume" in str(error)
    changed = refused(tmp_path, recipe(epochs=9, seed=4), resume=True)
    assert "is of another recipe" in str(changed)
    assert "changed: epochs, seed" in str(changed)
    write_pictures(tmp_path / "set", 13)
    assert "is of other images" in str(refused(tmp_path, recipe(), resume=True))


# A run that starts from published weights: their names, a frozen backbone, normalised pixels, a detector.


RESNET: dict[str, Any] = {
    **RECIPE,
    "train": "resnet",
    "with": {"depth": 18, "normalise": "imagenet"},
    "tiles": {"size": 32, "count": 1},
    "epochs": 2,
}


Frozen = tuple[TrainedModel, list[str]]
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@cache
def published() -> dict[str, Array]:
    """Return a ResNet-18 of 1000 classes under torchvision's names."""
    return state_dict(state_dicts.resnet(18))


@pytest.fixture(scope="module")
def starting_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    starting_folder = tmp_path_factory.mktemp("start")
    write_pictures(starting_folder / "set")
    write_weights(starting_folder / "published.safetensors", published())
    return starting_folder


def train(starting_folder: Path, name: str, watcher: Any = None, resume: bool = False, **changes: Any) -> TrainedModel:
    start = {"weights": str(starting_folder / "published.safetensors"), "publisher": "torchvision"}
    plain = {**RESNET, "start": start}
    recipe = NetworkRecipe.model_validate(plain).changed({key.replace("__", "."): one for key, one in changes.items()})
    request = TrainRequest(starting_folder / f"{name}.safetensors", str(starting_folder / "set"), resume=resume)
    return train_model(recipe, Catalog.of(ResNetTrainable), request, watcher or SilentWatcher())


@pytest.fixture(scope="module")
def frozen(starting_folder: Path) -> Frozen:
    """Return a run whose backbone was frozen, and what it said."""
    said: list[str] = []
    return train(starting_folder, "frozen", Said(said), start__freeze="head"), said


def changed(found: dict[str, Any], wanted: dict[str, Any]) -> set[str]:
    """Return the layers whose arrays differ."""
    assert found.keys() >= wanted.keys()
    names = [name for name in wanted if not np.array_equal(found[name], wanted[name])]
    return {".".join(name.split(".")[: 2 if name.startswith("stages") else 1]) for name in names}


def test_a_frozen_backbone_stays_as_it_was_published(starting_folder: Path, frozen: Frozen) -> None:
    made, said = frozen
    held = read_weights(made.weights)
    before = from_published(published(), "torchvision", drop_head=True).arrays
    assert changed(held.arrays, dict(before)) == set()
    assert held.arrays["head.weight"].shape == (1, 512)
    log = [json.loads(line) for line in (made.folder / "log.jsonl").read_text().splitlines()]
    assert log[0]["parameters"] == 512 + 1
    assert log[0]["start"] == held.metadata["start"] == read_weights(starting_folder / "published.safetensors").sha256
    assert log[1]["loss"] != log[2]["loss"]
    assert not [line for line in said if "normalis" in line]


def test_from_a_named_layer_on_it_learns(starting_folder: Path) -> None:
    made = train(starting_folder, "partly", start__freeze="layer4", epochs=1)
    before = from_published(published(), "torchvision", drop_head=True).arrays
    assert changed(dict(read_weights(made.weights).arrays), dict(before)) == {"stages.3"}


def test_the_detector_normalises_by_itself(frozen: Frozen) -> None:
    made, _ = frozen
    tiles = np.random.default_rng(6).integers(0, 256, (3, 32, 32, 3), np.uint8)
    stage = ResNetDetector(DetectorOptions(weights=str(made.weights), tile=32))
    stage.load()
    # The same arrays in a network that leaves pixels alone, given pixels that NumPy has normalised.
    bare = ResNet(resnet_shape(18))
    load_arrays(bare, read_weights(made.weights).arrays)
    pixels = ((tiles / 255.0 - MEAN) / DEVIATION).astype(np.float32)
    np.testing.assert_allclose(stage.score(tiles), np.array(bare.eval()(mx.array(pixels))), atol=1e-3)


def test_a_frozen_run_that_was_ended_goes_on_to_the_same_weights(starting_folder: Path) -> None:
    class Ended(Exception):
        pass

    class Stopper(SilentWatcher):
        def step(self, epoch: int, done: int, total: int, loss: float, rate: float) -> None:
            if epoch == 1:
                raise Ended

    changes = {"start__freeze": "head", "optimiser__use": "adam", "optimiser__rate": 1e-3}
    whole = train(starting_folder, "whole", **changes)
    with pytest.raises(Ended):
        train(starting_folder, "ended", Stopper(), **changes)
    assert train(starting_folder, "ended", resume=True, **changes).sha256 == whole.sha256


def test_other_starting_weights_are_no_run_to_go_on_with(starting_folder: Path, frozen: Frozen) -> None:
    shutil.copytree(frozen[0].folder, starting_folder / "other.run")
    facts = json.loads((starting_folder / "other.run" / RUN).read_text())
    (starting_folder / "other.run" / RUN).write_text(json.dumps({**facts, "start": "0" * 64}))
    with pytest.raises(D2FError, match="started from other weights") as caught:
        train(starting_folder, "other", resume=True, start__freeze="head")
    assert caught.value.problems[0].code == "D2F623"


def test_what_does_not_fit_is_told_before_images_are_read(starting_folder: Path) -> None:
    class NoImages(SilentWatcher):
        def images(self, done: int, total: int) -> None:
            pytest.fail("images were read")

    for code, text, changes in (
        ("D2F606", "start.freeze: the network has no layer 'layer9'", {"start__freeze": "layer9"}),
        ("D2F504", "do not fit the model", {"with": {"depth": 34}}),
        ("D2F504", "do not fit the model", {"start__publisher": "d2f"}),
        ("D2F502", "nothing.safetensors", {"start__weights": str(starting_folder / "nothing.safetensors")}),
    ):
        with pytest.raises(D2FError) as caught:
            train(starting_folder, "unfit", NoImages(), **changes)
        assert caught.value.problems[0].code == code
        assert text in str(caught.value)


def test_a_network_that_is_not_the_one_of_its_weights_is_said(starting_folder: Path) -> None:
    said: list[str] = []
    made = train(starting_folder, "bare", Said(said), start__freeze="head", epochs=1, **{"with": {"depth": 18}})
    assert [line for line in said if line.startswith("torchvision's weights were made with normalised pixels")]
    said.clear()
    train(starting_folder, "next", Said(said), start={"weights": str(made.weights), "freeze": "head"}, epochs=1)
    assert f"'{made.weights}' was made with other options: normalise: null" in said


class Loading:
    """A preprocessor that works after `load` only, as one with weights does."""

    name = "loading"
    summary = "Needs its weights."
    broken = False

    class Options(BaseModel):
        """Nothing."""

        model_config = ConfigDict(extra="forbid", frozen=True)

    def __init__(self, options: Any) -> None:
        self.level: int | None = None

    def load(self) -> None:
        if Loading.broken:
            raise WeightsMissing(Problem("D2F502", "the weights of 'loading' are not here"))
        self.level = 3

    def apply(self, pixels: Any, seed: int) -> Any:
        assert self.level is not None, "applied before it was loaded"
        return pixels


def test_a_measured_stage_is_loaded_and_what_it_lacks_is_known_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(tmp_path / "set", 8)
    stages = Catalog.of(ToyTrainable, Loading)

    def run(name: str, said: list[str]) -> TrainedModel:
        request = TrainRequest(tmp_path / f"{name}.safetensors", str(tmp_path / "set"))
        return train_model(recipe(epochs=1, measure=["loading"]), stages, request, Said(said))

    monkeypatch.setattr(Loading, "broken", True)
    said: list[str] = []
    with pytest.raises(WeightsMissing, match="the weights of 'loading' are not here"):
        run("missing", said)
    assert not [line for line in said if line.startswith("training")]
    monkeypatch.setattr(Loading, "broken", False)
    assert list(run("there", []).figures) == ["clean", "loading"]
