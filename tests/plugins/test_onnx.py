"""The detector `onnx`: what it computes, against the same in NumPy; by options alone."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from d2f import D2FError, Tiles, WeightsMissing, WholeImage
from d2f.testing import check_stage
from tests.plugins import onnx_models as models

pytest.importorskip("onnxruntime")

from d2f_onnx.options import OnnxOptions
from d2f_onnx.stage import OnnxDetector

from d2f.framing import NORMALISATIONS, Framing

RNG = np.random.default_rng(27)
WEIGHT = RNG.standard_normal((3, 3)).astype(np.float32)
BIAS = RNG.standard_normal(3).astype(np.float32)
ONE = (WEIGHT[:, :1].copy(), BIAS[:1].copy())
TWO = (WEIGHT[:, :2].copy(), BIAS[:2].copy())
VIEWS = [RNG.integers(0, 256, shape, dtype=np.uint8) for shape in ((16, 16, 3), (40, 23, 3), (9, 31, 3))]
"""Of the input's own size, larger, and smaller along one side."""


def detector(folder: Path, data: bytes, **options: Any) -> OnnxDetector:
    path = folder / "model.onnx"
    path.write_bytes(data)
    made = OnnxDetector(OnnxOptions(model=str(path), **options))
    made.load()
    return made


def logits(framing: Framing, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return what the classifier gives for `VIEWS`, in float64."""
    means = np.stack([framing(view).astype(np.float64).mean(axis=(0, 1)) for view in VIEWS])
    return means @ weight + bias


@pytest.mark.parametrize("normalise", sorted(NORMALISATIONS))
@pytest.mark.parametrize("fit", ["short-side", "squash", "centre"])
def test_one_logit(tmp_path: Path, fit: Any, normalise: Any) -> None:
    found = detector(tmp_path, models.classifier(*ONE), fit=fit, normalise=normalise).score(VIEWS)
    framing = Framing((16, 16), fit, None, "bilinear", *NORMALISATIONS[normalise])
    np.testing.assert_allclose(found, logits(framing, *ONE)[:, 0], rtol=1e-5, atol=1e-5)


def test_direction_and_probability(tmp_path: Path) -> None:
    expected = logits(Framing((16, 16)), *ONE)[:, 0]
    turned = detector(tmp_path, models.classifier(*ONE), higher="real").score(VIEWS)
    np.testing.assert_allclose(turned, -expected, rtol=1e-5)
    sigmoid = models.classifier(*ONE, last="Sigmoid")
    np.testing.assert_allclose(detector(tmp_path, sigmoid, gives="probability").score(VIEWS), expected, atol=1e-4)


def test_classes(tmp_path: Path) -> None:
    rows = logits(Framing((16, 16)), WEIGHT, BIAS)
    expected = rows[:, 1] - np.log(np.exp(rows[:, [0, 2]]).sum(axis=1))
    plain = detector(tmp_path, models.classifier(WEIGHT, BIAS), generated=1).score(VIEWS)
    np.testing.assert_allclose(plain, expected, atol=1e-4)
    softmax = models.classifier(WEIGHT, BIAS, last="Softmax")
    found = detector(tmp_path, softmax, generated=1, gives="probability").score(VIEWS)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_place_is_needed_where_there_are_classes(tmp_path: Path) -> None:
    for options, said in (({}, "say by `generated`"), ({"generated": 2}, "there is no 2")):
        with pytest.raises(D2FError, match="not as the options say") as caught:
            detector(tmp_path, models.classifier(*TWO), **options)
        assert said in caught.value.problems[0].notes[0]


def test_layouts_types_and_colours(tmp_path: Path) -> None:
    expected = logits(Framing((16, 16)), *ONE)[:, 0]
    last = detector(tmp_path, models.classifier(*ONE, layout="nhwc"), layout="nhwc").score(VIEWS)
    np.testing.assert_allclose(last, expected, atol=1e-5)
    half = detector(tmp_path, models.classifier(*ONE, kind=models.FLOAT16)).score(VIEWS)
    np.testing.assert_allclose(half, expected, atol=5e-3)
    levels = detector(tmp_path, models.classifier(*ONE, kind=models.UINT8)).score(VIEWS)
    bytes_ = Framing((16, 16), mean=NORMALISATIONS["bytes"][0], deviation=NORMALISATIONS["bytes"][1])
    np.testing.assert_allclose(levels, logits(bytes_, *ONE)[:, 0], rtol=1e-4)
    turned = models.classifier(ONE[0][::-1].copy(), ONE[1])
    np.testing.assert_allclose(detector(tmp_path, turned, channels="bgr").score(VIEWS), expected, atol=1e-5)
    own = detector(tmp_path, models.classifier(*ONE), mean=(0.1, 0.2, 0.3), deviation=(1.0, 2.0, 0.5)).score(VIEWS)
    framing = Framing((16, 16), mean=(0.1, 0.2, 0.3), deviation=(1.0, 2.0, 0.5))
    np.testing.assert_allclose(own, logits(framing, *ONE)[:, 0], atol=1e-5)


def test_a_fixed_batch_is_filled_up(tmp_path: Path) -> None:
    alone = detector(tmp_path, models.classifier(*ONE))
    fixed = detector(tmp_path, models.classifier(*ONE, batch=4))
    np.testing.assert_allclose(fixed.score(VIEWS * 2), alone.score(VIEWS * 2), atol=1e-6)
    # What a view scores does not depend on the others of its batch.
    assert alone.score(VIEWS)[1:2] == alone.score(VIEWS[1:2])
    assert fixed.score(VIEWS)[1:2] == fixed.score(VIEWS[1:2])


def test_tiles(tmp_path: Path) -> None:
    made = detector(tmp_path, models.classifier(*ONE), size=16, tiles=5, pool="median")
    assert made.wants == Tiles(5, 16, "grid", "median", 16)
    tiles = RNG.integers(0, 256, (16, 16, 16, 3), dtype=np.uint8)
    whole = detector(tmp_path, models.classifier(*ONE))
    assert whole.wants == WholeImage()
    assert made.score(tiles) == whole.score(list(tiles))


def test_the_size_is_the_files_or_the_options(tmp_path: Path) -> None:
    free = models.classifier(*ONE, size=("h", "w"))
    with pytest.raises(D2FError, match="does not say the size"):
        detector(tmp_path, free)
    expected = logits(Framing((12, 20)), *ONE)[:, 0]
    np.testing.assert_allclose(detector(tmp_path, free, size=(12, 20)).score(VIEWS), expected, atol=1e-5)
    with pytest.raises(D2FError, match=r"\(16, 16\), not \(20, 20\)"):
        detector(tmp_path, models.classifier(*ONE), size=20)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layout": "nhwc"}, "has 16 channels under layout nhwc"),
        ({"output": "z"}, "has no output 'z'"),
        ({"provider": "coreml"}, "no provider 'coreml'"),
    ],
)
def test_options_that_do_not_fit(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(D2FError) as caught:
        detector(tmp_path, models.classifier(*ONE), **options)
    assert said in caught.value.problems[0].message
    assert caught.value.problems[0].notes


@pytest.mark.parametrize(
    "options",
    [
        {"mean": (0.0, 0.0, 0.0)},
        {"mean": (0.0, 0.0, 0.0), "deviation": (1.0, 0.0, 1.0)},
        {"tiles": 3},
        {"resize": 32, "fit": "squash"},
        {"sha256": "12"},
        {"unknown": 1},
    ],
)
def test_options_that_contradict_each_other(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        OnnxOptions.model_validate(options)


def test_a_digest_is_held(tmp_path: Path) -> None:
    data = models.classifier(*ONE)
    right = hashlib.sha256(data).hexdigest()
    assert detector(tmp_path, data, sha256=right).weights[0].sha256 == right
    with pytest.raises(D2FError, match="have not the pinned digest"):
        detector(tmp_path, data, sha256="0" * 64)


def test_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsMissing, match="none is named"):
        OnnxDetector(OnnxOptions()).load()
    with pytest.raises(WeightsMissing, match="no weights file"):
        OnnxDetector(OnnxOptions(model=str(tmp_path / "no.onnx")))
    monkeypatch.setenv("D2F_CACHE", str(tmp_path))
    source = "hf://org/repo/model.onnx@main"
    with pytest.raises(D2FError, match="without its digest"):
        OnnxDetector(OnnxOptions(model=source))
    with pytest.raises(WeightsMissing) as caught:
        OnnxDetector(OnnxOptions(model=source, sha256="1" * 64)).load()
    assert caught.value.problems[0].notes == (f"to fetch it: d2f weights pull {source} --sha256 {'1' * 64}",)
    (tmp_path / "weights").mkdir()
    data = models.classifier(*ONE)
    digest = hashlib.sha256(data).hexdigest()
    (tmp_path / "weights" / f"{digest}.onnx").write_bytes(data)
    fetched = OnnxDetector(OnnxOptions(model=source, sha256=digest))
    fetched.load()
    assert len(fetched.score(VIEWS)) == 3


def test_it_keeps_the_contract(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(models.classifier(*TWO, size=(32, 32)))
    check_stage(OnnxDetector, options={"model": str(path), "generated": 0})


def test_the_classifier_of_the_how_to_is_made_here() -> None:
    docs = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "onnx-detector"
    assert (docs / "theirs.onnx").read_bytes() == models.noise_classifier()


def test_the_card_says_the_options() -> None:
    import d2f_onnx

    card = (Path(d2f_onnx.__file__).parent / "README.md").read_text("utf-8")
    rows = [line.split(" | ") for line in card.splitlines() if line.startswith("| `")]
    stated = {row[0].strip("| `"): row[2].removesuffix(" |") for row in rows}
    assert stated == {name: field.description for name, field in OnnxOptions.model_fields.items()}


def test_a_worker_takes_its_share_of_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {}
    for threads in ("1", "2"):
        monkeypatch.setenv("D2F_THREADS", threads)
        made = detector(tmp_path, models.classifier(*ONE))
        assert made._classifier is not None
        session = made._classifier._session
        assert session.get_session_options().intra_op_num_threads == min(int(threads), len(os.sched_getaffinity(0)))
        found[threads] = made.score(VIEWS)
    assert found["1"] == found["2"]
