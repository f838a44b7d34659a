"""The detector `transformers` against the model's own logits, on a tiny seeded ViT that the test saves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from d2f import D2FError
from d2f.testing import check_stage

pytestmark = pytest.mark.torch
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


def test_a_guess_is_told_with_each_score(tmp_path: Path) -> None:
    logits = expected(saved(tmp_path))
    with pytest.raises(D2FError, match="which labels of model"):
        detector(tmp_path)
    found = detector(tmp_path, guess=True).score(VIEWS)
    np.testing.assert_allclose([score.value for score in found], logits[:, 1] - logits[:, 0], atol=1e-4)
    assert {score.evidence for score in found} == {"by a guess, 'artificial' means generated"}


def test_more_labels(tmp_path: Path) -> None:
    logits = expected(saved(tmp_path, ("photo", "sdxl", "flux", "painting")))
    found = detector(tmp_path, generated=("sdxl", "flux"), real=("photo",)).score(VIEWS)
    wanted = np.log(np.exp(logits[:, 1]) + np.exp(logits[:, 2])) - logits[:, 0]
    np.testing.assert_allclose([score.value for score in found], wanted, atol=1e-4)


def test_one_label(tmp_path: Path) -> None:
    logits = expected(saved(tmp_path, ("real",)))
    found = detector(tmp_path, higher="real").score(VIEWS)
    np.testing.assert_allclose([score.value for score in found], -logits[:, 0], atol=1e-4)


def test_a_model_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    from d2f.weights import read_weights, write_weights

    saved(tmp_path)
    held = read_weights(tmp_path / "model.safetensors")
    held.arrays.pop("classifier.weight")
    write_weights(tmp_path / "model.safetensors", held.arrays, {"format": "pt"})
    with pytest.raises(D2FError, match="do not fit the model") as caught:
        detector(tmp_path, guess=True)
    assert caught.value.problems[0].notes == ("missing: classifier.weight",)


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


def test_an_unknown_architecture_is_an_error_not_a_crash(tmp_path: Path) -> None:
    saved(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "no-such-model"}))
    with pytest.raises(D2FError, match="cannot be loaded by transformers") as caught:
        detector(tmp_path, guess=True)
    assert caught.value.problems[0].code == "D2F505"


def test_it_keeps_the_contract(tmp_path: Path) -> None:
    from d2f_transformers.stage import TransformersDetector

    saved(tmp_path)
    check_stage(TransformersDetector, options={"model": str(tmp_path), "guess": True})
