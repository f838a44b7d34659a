"""The detector clip-probe around its tower: crops, head, what it says without weights, and with them where fetched."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import d2f_clip_probe
import numpy as np
import pytest
from d2f_clip_probe.crops import crops
from d2f_clip_probe.head import crop_scores, fit
from d2f_clip_probe.options import DetectorOptions, TrainableOptions
from d2f_clip_probe.stage import HEADS, TOWERS, ClipProbe, ClipProbeTrainable
from d2f_towers.shared import shared_tower
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from d2f import D2FError, Needs, Weights, WeightsMissing
from d2f.cache import caching
from d2f.plugins.catalog import Catalog
from d2f.train.read import read_recipe
from d2f.train.recipe import recipe_digest
from d2f.weights import read_weights, short_digests, write_weights
from d2f.weights.sources import located
from tests.chains.fitted_set import digests, need_edition, train_set

fetched = pytest.mark.skipif(located(TOWERS[0]) is None, reason="d2f weights pull clip-vit-b16")
FOLDER = Path(d2f_clip_probe.__file__).parent
RANDOM = np.random.default_rng(4)


def picture(height: int, width: int) -> NDArray[np.uint8]:
    return RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("height", "width", "top", "left"), [(300, 500, 38, 138), (225, 226, 0, 1), (224, 400, 0, 88)])
def test_native_is_the_centre_as_it_is(height: int, width: int, top: int, left: int) -> None:
    view = picture(height, width)
    (native,) = crops(view, ["native"])
    assert np.array_equal(native, view[top : top + 224, left : left + 224])


def test_whole_is_the_central_square_resized() -> None:
    view = picture(300, 400)
    (whole,) = crops(view, ["whole"])
    expected = Image.fromarray(view[:, 50:350]).resize((224, 224), Image.Resampling.BICUBIC)
    assert np.array_equal(whole, np.asarray(expected))


def test_of_a_small_view_both_crops_are_the_whole() -> None:
    whole, native = crops(picture(100, 90), ["whole", "native"])
    assert whole.shape == (224, 224, 3)
    assert np.array_equal(whole, native)


@pytest.mark.parametrize(("height", "width"), [(480, 700), (300, 300), (100, 480)])
def test_standard_leaves_views_of_the_fitted_size_as_they_are(height: int, width: int) -> None:
    view = picture(height, width)
    assert np.array_equal(crops(view, ["standard"]), crops(view, ["whole"]))


def test_standard_brings_larger_views_to_the_middle_of_the_protocol() -> None:
    view = picture(1200, 900)
    reduced = Image.fromarray(view).resize((400, 533), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    reduced.save(buffer, "JPEG", quality=88, subsampling="4:2:0")
    expected = crops(np.asarray(Image.open(buffer).convert("RGB")), ["whole"])
    assert np.array_equal(crops(view, ["standard"]), expected)
    assert not np.array_equal(expected, crops(view, ["whole"]))


def separable(n: int) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    labels = (np.arange(n) % 2).astype(np.int8)
    tokens = RANDOM.normal(size=(n, 2, 6))
    tokens[:, 0, 1] += 2.0 * labels
    tokens[:, 1, 4] -= 1.0 * labels
    return tokens, labels


def test_the_head_is_the_optimum_of_penalised_likelihood() -> None:
    tokens, labels = separable(400)
    weights = RANDOM.uniform(0.5, 2.0, 400)
    arrays = fit(tokens, labels, weights, strength=0.1)
    values = np.clip((tokens - arrays["centre"]) / arrays["deviation"], -4, 4).reshape(400, -1)
    logits = values @ arrays["weight"].reshape(-1) + arrays["bias"]
    np.testing.assert_allclose(crop_scores(arrays, tokens).mean(axis=1), logits, atol=1e-10)
    residual = weights * (1 / (1 + np.exp(-logits)) - labels)
    # The gradient of the likelihood and of the ridge, which spares the bias, cancel.
    np.testing.assert_allclose(values.T @ residual + arrays["weight"].reshape(-1) / 0.1, 0.0, atol=0.05)
    assert abs(residual.sum()) < 0.05


def test_a_picture_s_score_does_not_depend_on_the_others() -> None:
    tokens, labels = separable(50)
    arrays = fit(tokens, labels, np.ones(50), 0.1)
    alone = np.concatenate([crop_scores(arrays, row[None]) for row in tokens])
    assert np.array_equal(alone, crop_scores(arrays, tokens))


@pytest.mark.parametrize("blocks", [[0], [7, 5], [5, 5]])
def test_blocks_are_named_once_rising(blocks: list[int]) -> None:
    with pytest.raises(ValidationError):
        TrainableOptions(blocks=tuple(blocks))


def head(folder: Path, blocks: list[int], kinds: list[str], trainable: str = "clip-probe") -> Path:
    shape = (len(kinds), 768 * len(blocks))
    arrays = {"centre": np.zeros(shape), "deviation": np.ones(shape), "weight": RANDOM.normal(0, 0.02, shape)}
    facts = {"trainable": trainable, "options": json.dumps({"blocks": blocks, "crops": kinds})}
    path = folder / "head.safetensors"
    write_weights(path, {**arrays, "bias": np.asarray(0.5)}, facts, short_digests(["00" * 32]))
    return path


def test_without_the_tower_the_command_is_said(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("D2F_CACHE", str(tmp_path))
    shared_tower.cache_clear()
    detector = ClipProbe(DetectorOptions(weights=str(head(tmp_path, [1], ["whole"]))))
    with pytest.raises(WeightsMissing, match="d2f weights pull clip-vit-b16"):
        detector.load()


def test_a_head_of_another_detector_is_refused(tmp_path: Path) -> None:
    detector = ClipProbe(DetectorOptions(weights=str(head(tmp_path, [1], ["whole"], "resnet"))))
    with pytest.raises(D2FError, match="do not say that they are of `clip-probe`"):
        detector.load()


SHIPPED = pytest.mark.parametrize("head", HEADS, ids=lambda head: head.name)


@SHIPPED
def test_a_shipped_head_is_the_recorded_one_and_says_what_it_was_trained_on(head: Weights) -> None:
    held = read_weights(head)
    assert held.sha256 == head.sha256
    assert held.trained_on is not None
    assert len(held.trained_on) == int(held.metadata["images"])
    assert held.metadata["part"] == "all"


@pytest.mark.parametrize(("head", "recipe"), [(HEADS[0], "recipe.yaml"), (HEADS[1], "first8.yaml")])
def test_a_shipped_head_was_made_by_the_shipped_recipe(head: Weights, recipe: str) -> None:
    made_by = read_recipe(FOLDER / recipe, Catalog.discover())
    assert read_weights(head).metadata["recipe"] == recipe_digest(made_by)


@SHIPPED
def test_card_and_record_name_how_many_images_it_was_trained_on(head: Weights) -> None:
    images = f"{int(read_weights(head).metadata['images']):,} images"
    assert images in (FOLDER / "README.md").read_text("utf-8")
    assert images in head.description


@pytest.mark.skipif("D2F_DATA" not in os.environ, reason="D2F_DATA names no folder of images")
def test_the_shipped_head_was_trained_on_all_of_train() -> None:
    trained_on = read_weights(HEADS[0]).trained_on
    assert trained_on is not None
    need_edition(trained_on)
    assert np.array_equal(np.sort(trained_on), np.unique(digests(train_set())))


@fetched
def test_crops_are_tiles_and_the_share_that_they_see_is_stated(tmp_path: Path) -> None:
    detector = ClipProbe(DetectorOptions(weights=str(head(tmp_path, [1, 2], ["whole", "native"]))))
    detector.load()
    views = [picture(240, 300), picture(64, 64)]
    first, last = detector.score(views)
    assert len(first.tiles) == 2
    assert first.value == pytest.approx(np.mean(first.tiles))
    assert (first.seen, last.seen) == (240 / 300, 1.0)
    assert detector.score(views[1:]) == [last]
    assert detector.score([]) == []
    assert detector.needs == Needs(side=64, deviation=0.5)


@fetched
def test_the_detector_scores_as_the_trainable_predicts_and_kept_tokens_give_the_same(tmp_path: Path) -> None:
    path = head(tmp_path, [1, 2], ["whole", "native"])
    detector = ClipProbe(DetectorOptions(weights=str(path)))
    detector.load()
    trainable = ClipProbeTrainable(TrainableOptions(blocks=(1, 2), crops=("whole", "native")))
    view = picture(250, 260)
    features = trainable.features(view)
    assert features is not None
    arrays = {name: detector._arrays[name] for name in ("centre", "deviation", "weight", "bias")}
    (score,) = detector.score([view])
    assert trainable.predict(arrays, features[None])[0] == pytest.approx(score.value, abs=1e-9)
    with caching(tmp_path / "cache"):
        assert [detector.score([view]), detector.score([view])] == [[score], [score]]
