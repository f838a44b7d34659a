"""The detector `transformers`: files found, labels read, hostile folders refused; and the logits of a tiny ViT."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from d2f_transformers.files import check_config, folder_of, records
from d2f_transformers.labels import Places, guessed, places
from d2f_transformers.options import TransformersOptions
from d2f_transformers.stage import TransformersDetector

from d2f import D2FError, WeightsMissing
from d2f.testing import check_stage
from d2f.weights import write_weights

# As far as it goes without PyTorch.

CONFIG = {"model_type": "vit", "num_hidden_layers": 2, "id2label": {"0": "fake", "1": "real"}}


def folder(path: Path, config: Any = CONFIG, processor: Any = None) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps(config))
    (path / "preprocessor_config.json").write_text(json.dumps(processor or {"do_resize": True}))
    write_weights(path / "model.safetensors", {name: np.zeros(2, np.float32) for name in "abc"})
    return path


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["artificial", "human"], Places((0,), (1,))),
        (["REAL", "FAKE"], Places((1,), (0,))),
        (["real", "ai_generated", "deepfake"], Places((1, 2), (0,))),
        (["AiArtData", "RealArt"], Places((0,), (1,))),
        (["LABEL_0", "LABEL_1"], None),
        (["fake", "fake human"], None),
        (["fake", "deepfake"], None),
    ],
)
def test_the_guess(labels: list[str], expected: Places | None) -> None:
    assert guessed(labels) == expected


def test_a_guess_is_said_and_taken_only_when_asked() -> None:
    with pytest.raises(D2FError, match="which labels of model mean generated") as caught:
        places(["human", "artificial"], ())
    assert caught.value.problems[0].notes == (
        "its labels: 'human', 'artificial'",
        "a guess by their words: generated: [artificial]; set that, or guess: true",
    )
    assert places(["human", "artificial"], (), guess=True) == Places((1,), (0,))
    with pytest.raises(D2FError) as caught:
        places(["LABEL_0", "LABEL_1"], (), guess=True)
    assert "their words do not say it" in caught.value.problems[0].notes[1]


def test_named_labels() -> None:
    assert places(["a", "b", "c"], ["b"]) == Places((1,), (0, 2))
    assert places(["a", "b", "c"], ["b"], ["c"]) == Places((1,), (2,))
    assert places(["only"], ()) == Places((0,), ())
    for generated, real, said in (
        (["d"], (), "has no label 'd'"),
        (["a"], ["a"], "stand for generated and for real"),
        (["a", "b", "c"], (), "all labels"),
    ):
        with pytest.raises(D2FError, match=said):
            places(["a", "b", "c"], generated, real)


def test_a_folder_is_recorded_file_by_file(tmp_path: Path) -> None:
    where = folder(tmp_path / "own")
    stage = TransformersDetector(TransformersOptions(model=str(where)))
    assert [record.name.rpartition("/")[2] for record in stage.weights] == [
        "config.json",
        "preprocessor_config.json",
        "model.safetensors",
    ]
    assert len({record.sha256 for record in stage.weights}) == 3


def test_a_model_of_the_hub_is_looked_for_in_its_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsMissing) as caught:
        TransformersDetector(TransformersOptions(model="org/name", revision="v2"))
    assert caught.value.problems[0].notes[0] == "to fetch it: hf download org/name --revision v2"
    where = folder(tmp_path / "models--org--name" / "snapshots" / "0123abcd")
    (tmp_path / "models--org--name" / "refs").mkdir()
    (tmp_path / "models--org--name" / "refs" / "main").write_text("0123abcd")
    assert folder_of("org/name", "main") == folder_of("org/name", "0123abcd") == where
    assert records("org/name", where)[0].name == "org/name/config.json"
    (tmp_path / "models--org--name" / "refs" / "main").write_text("../../../x")
    with pytest.raises(WeightsMissing):
        folder_of("org/name", "main")


def test_without_a_model() -> None:
    with pytest.raises(WeightsMissing, match="none is named"):
        TransformersDetector(TransformersOptions()).load()
    with pytest.raises(WeightsMissing, match="there is no folder"):
        TransformersDetector(TransformersOptions(model="./nowhere/at/all"))
    with pytest.raises(ValueError, match="revision"):
        TransformersOptions(revision="../main")


def test_pickles_are_refused_by_name(tmp_path: Path) -> None:
    where = folder(tmp_path / "own")
    (where / "model.safetensors").rename(where / "pytorch_model.bin")
    with pytest.raises(D2FError, match=r"holds no \.safetensors") as caught:
        TransformersDetector(TransformersOptions(model=str(where)))
    assert "pytorch_model.bin" in caught.value.problems[0].notes[0]


@pytest.mark.parametrize(
    ("config", "processor", "said"),
    [
        ({**CONFIG, "auto_map": {"AutoConfig": "evil.Config"}}, None, "asks for code of its own"),
        (CONFIG, {"auto_map": {"AutoImageProcessor": "org/evil--code.P"}}, "asks for code of its own"),
        ({**CONFIG, "num_hidden_layers": 10**9}, None, "asks for 1000000000 of 'num_hidden_layers'"),
        ({**CONFIG, "vision_config": {"depths": [2, 4000]}}, None, "asks for 4000 of 'depths'"),
        ([1, 2], None, "cannot be read"),
    ],
)
def test_hostile_configurations_are_refused(tmp_path: Path, config: Any, processor: Any, said: str) -> None:
    where = folder(tmp_path / "own", config, processor)
    with pytest.raises(D2FError, match=said) as caught:
        TransformersDetector(TransformersOptions(model=str(where))).load()
    assert caught.value.problems[0].code == "D2F505"


def test_files_that_transformers_follows_are_recorded_and_checked_too(tmp_path: Path) -> None:
    where = folder(tmp_path / "own")
    (where / "processor_config.json").write_text('{"image_processor": {"size": {"height": 16}}}')
    (where / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model.safetensors"}}')
    names = [record.name.rpartition("/")[2] for record in records("own", where)]
    assert names[2:4] == ["processor_config.json", "model.safetensors.index.json"]
    check_config(where, "own")
    (where / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../x.safetensors"}}')
    with pytest.raises(D2FError, match=r"names the shard '\.\./x\.safetensors'"):
        check_config(where, "own")
    (where / "processor_config.json").write_text('{"image_processor": {"auto_map": {"A": "evil.P"}}}')
    with pytest.raises(D2FError, match="asks for code of its own"):
        check_config(where, "own")


def test_truncated_weights_are_refused(tmp_path: Path) -> None:
    where = folder(tmp_path / "own")
    data = (where / "model.safetensors").read_bytes()
    (where / "model.safetensors").write_bytes(data[:-3])
    with pytest.raises(D2FError, match="not safetensors, or damaged"):
        check_config(where, "model 'own'")


def test_the_card_says_the_options() -> None:
    import d2f_transformers

    card = (Path(d2f_transformers.__file__).parent / "README.md").read_text("utf-8")
    rows = [line.split(" | ") for line in card.splitlines() if line.startswith("| `")]
    stated = {row[0].strip("| `"): row[2].removesuffix(" |") for row in rows}
    assert stated == {name: field.description for name, field in TransformersOptions.model_fields.items()}


# Against the model's own logits, on a tiny seeded ViT that the test saves.

VIEWS = [np.random.default_rng(5).integers(0, 256, shape, dtype=np.uint8) for shape in ((32, 32, 3), (90, 50, 3))]


def saved(folder: Path, labels: tuple[str, ...] = ("human", "artificial"), **processor: Any) -> Any:
    """Save a ViT of two blocks and its processor; return the model."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(11)
    named = dict(enumerate(labels))
    config = transformers.ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=32, patch_size=8,
        id2label=named, label2id={label: place for place, label in named.items()},
    )  # fmt: skip
    model = transformers.ViTForImageClassification(config).eval()
    # Larger than drawn, so that logits differ.
    model.classifier.weight.data *= 30
    model.save_pretrained(folder)
    held = {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}, "resample": 2}
    held |= {"do_resize": True, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True}
    held |= {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.6, 0.7]}
    (folder / "preprocessor_config.json").write_text(json.dumps(held | processor))
    return model


def expected(model: Any) -> Any:
    """Return the logits of `VIEWS`, prepared by Pillow and NumPy alone."""
    torch = pytest.importorskip("torch")
    from PIL import Image

    rows = []
    for view in VIEWS:
        small = np.asarray(Image.fromarray(view).resize((32, 32), Image.Resampling.BILINEAR), np.float32) / 255
        pixels = (small - np.array([0.5, 0.4, 0.3], np.float32)) / np.array([0.5, 0.6, 0.7], np.float32)
        with torch.inference_mode():
            rows.append(model(torch.from_numpy(pixels.transpose(2, 0, 1)[None])).logits[0].double().numpy())
    return np.stack(rows)


def detector(folder: Path, **options: Any) -> Any:
    from d2f_transformers.options import TransformersOptions
    from d2f_transformers.stage import TransformersDetector

    made = TransformersDetector(TransformersOptions(model=str(folder), **options))
    made.load()
    return made


@pytest.mark.torch
def test_two_labels(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    logits = expected(saved(tmp_path))
    capfd.readouterr()
    found = detector(tmp_path, generated=("artificial",)).score(VIEWS)
    assert capfd.readouterr() == ("", "")
    np.testing.assert_allclose([score.value for score in found], logits[:, 1] - logits[:, 0], atol=1e-4)
    assert np.ptp(logits[:, 1] - logits[:, 0]) > 0.01
    assert {score.evidence for score in found} == {""}
    turned = detector(tmp_path, generated=("human",)).score(VIEWS)
    np.testing.assert_allclose([score.value for score in turned], logits[:, 0] - logits[:, 1], atol=1e-4)


@pytest.mark.torch
def test_a_guess_is_told_with_each_score(tmp_path: Path) -> None:
    logits = expected(saved(tmp_path))
    with pytest.raises(D2FError, match="which labels of model"):
        detector(tmp_path)
    found = detector(tmp_path, guess=True).score(VIEWS)
    np.testing.assert_allclose([score.value for score in found], logits[:, 1] - logits[:, 0], atol=1e-4)
    assert {score.evidence for score in found} == {"by a guess, 'artificial' means generated"}


@pytest.mark.torch
def test_more_labels(tmp_path: Path) -> None:
    logits = expected(saved(tmp_path, ("photo", "sdxl", "flux", "painting")))
    found = detector(tmp_path, generated=("sdxl", "flux"), real=("photo",)).score(VIEWS)
    wanted = np.log(np.exp(logits[:, 1]) + np.exp(logits[:, 2])) - logits[:, 0]
    np.testing.assert_allclose([score.value for score in found], wanted, atol=1e-4)


@pytest.mark.torch
def test_one_label(tmp_path: Path) -> None:
    logits = expected(saved(tmp_path, ("real",)))
    found = detector(tmp_path, higher="real").score(VIEWS)
    np.testing.assert_allclose([score.value for score in found], -logits[:, 0], atol=1e-4)


@pytest.mark.torch
def test_a_model_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    from d2f.weights import read_weights, write_weights

    saved(tmp_path)
    held = read_weights(tmp_path / "model.safetensors")
    held.arrays.pop("classifier.weight")
    write_weights(tmp_path / "model.safetensors", held.arrays, {"format": "pt"})
    with pytest.raises(D2FError, match="do not fit the model") as caught:
        detector(tmp_path, guess=True)
    assert caught.value.problems[0].notes == ("missing: classifier.weight",)


@pytest.mark.torch
def test_a_file_that_changed_is_refused(tmp_path: Path) -> None:
    from d2f_transformers.options import TransformersOptions
    from d2f_transformers.stage import TransformersDetector

    saved(tmp_path)
    made = TransformersDetector(TransformersOptions(model=str(tmp_path), guess=True))
    config = tmp_path / "config.json"
    config.write_text(config.read_text() + "\n")
    with pytest.raises(D2FError, match="has changed") as caught:
        made.load()
    assert caught.value.problems[0].code == "D2F503"


@pytest.mark.torch
def test_an_unknown_architecture_is_an_error_not_a_crash(tmp_path: Path) -> None:
    saved(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "no-such-model"}))
    with pytest.raises(D2FError, match="cannot be loaded by transformers") as caught:
        detector(tmp_path, guess=True)
    assert caught.value.problems[0].code == "D2F505"


@pytest.mark.torch
def test_it_keeps_the_contract(tmp_path: Path) -> None:
    from d2f_transformers.stage import TransformersDetector

    saved(tmp_path)
    check_stage(TransformersDetector, options={"model": str(tmp_path), "guess": True})
