"""clip-probe over other towers than CLIP's: every architecture, tokens computed once, heads held to their tower."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from d2f_clip_probe.options import DetectorOptions, TrainableOptions
from d2f_clip_probe.stage import ClipProbe, ClipProbeTrainable
from d2f_towers.records import RECORDS
from d2f_towers.shared import shared_tower
from d2f_towers.towers import TOWERS

from d2f import D2FError
from d2f.weights import as_record, short_digests, write_weights
from tests.plugins.tiny_towers import tiny_tower

HUB = [name for name, tower in TOWERS.items() if tower.layout not in ("int8", "int4")]
VIEWS = [np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8) for shape in ((90, 120, 3), (200, 80, 3))]


def head(path: Path, tower: str, blocks: list[int]) -> Path:
    shape = (1, 16 * len(blocks))
    random = np.random.default_rng(len(blocks))
    arrays = {"centre": np.zeros(shape), "deviation": np.ones(shape), "weight": random.normal(0, 0.1, shape)}
    facts = {"blocks": blocks, "crops": ["standard"], "tower": tower}
    metadata = {"trainable": "clip-probe", "options": json.dumps(facts)}
    write_weights(path, {**arrays, "bias": np.asarray(0.5)}, metadata, short_digests(["00" * 32]))
    return path


@pytest.mark.parametrize("name", HUB)
def test_every_architecture_scores_as_its_trainable_predicts(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tower = f"{name}={tiny_tower(name, tmp_path, monkeypatch)}"
    weights = head(tmp_path / "head.safetensors", tower, [1, 2])
    detector = ClipProbe(DetectorOptions(weights=str(weights), tower=tower))
    detector.load()
    scores = detector.score(VIEWS)
    assert scores[0].value != scores[1].value
    trainable = ClipProbeTrainable(TrainableOptions(blocks=(1, 2), crops=("standard",), tower=tower))
    features = np.stack([np.asarray(trainable.features(view)) for view in VIEWS])
    found = trainable.predict(detector._arrays, features)
    assert found.tolist() == pytest.approx([score.value for score in scores], abs=1e-9)


def test_stages_of_one_chain_share_the_tokens_of_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tiny_tower("dinov3-vitb16", tmp_path, monkeypatch)
    tower = f"dinov3-vitb16={file}"
    stages = []
    for number, blocks in enumerate(([1, 2], [2])):
        weights = head(tmp_path / f"{number}.safetensors", tower, blocks)
        stages.append(ClipProbe(DetectorOptions(weights=str(weights), tower=tower)))
    stages[1].load()
    (alone,) = stages[1].score(VIEWS[:1])
    shared_tower.cache_clear()
    for stage in stages:
        stage.load()
    both = [stage.score(VIEWS)[0] for stage in stages]
    assert shared_tower(as_record(file), "dinov3-vitb16", "float32").computed == len(VIEWS)
    assert both[1] == alone


def test_a_head_of_another_tower_is_refused_though_its_tokens_are_as_many(tmp_path: Path) -> None:
    weights = head(tmp_path / "head.safetensors", "dinov3-vitb16", [1])
    detector = ClipProbe(DetectorOptions(weights=str(weights)))
    with pytest.raises(D2FError, match="fitted to tokens of the tower dinov3-vitb16, not of clip-vit-b16") as caught:
        detector.load()
    assert caught.value.problems[0].notes == ("set the detector's option tower to dinov3-vitb16",)


def test_blocks_that_the_tower_does_not_have_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tower = f"pe-vitb16={tiny_tower('pe-vitb16', tmp_path, monkeypatch)}"
    trainable = ClipProbeTrainable(TrainableOptions(blocks=(1, 3), tower=tower))
    with pytest.raises(D2FError, match="after block 3 are asked for, and the tower has 2 blocks"):
        trainable.features(VIEWS[0])


def test_an_unknown_tower_is_named(tmp_path: Path) -> None:
    with pytest.raises(D2FError, match="unknown weights 'dinov3-vitb-16'") as caught:
        ClipProbe(DetectorOptions(tower="dinov3-vitb-16"))
    assert "dinov3-vitb16" in " ".join(caught.value.problems[0].notes)
    assert ClipProbe(DetectorOptions(tower="pe-vitl14")).weights[1] == next(r for r in RECORDS if r.name == "pe-vitl14")
