"""Published detectors: equal to their authors' own code where its outputs are at hand, and shown what it shows them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from d2f_published import stages
from d2f_published.commfor import SHAPE, WRAPPER
from d2f_published.records import RECORDS
from d2f_published.stages import STAGES, CommFor
from d2f_towers.towers import TOWERS

from d2f import D2FError, WeightsMissing
from d2f.models import ViT, load_arrays, vit_arrays
from d2f.testing import check_stage
from d2f.weights import read_hdf5, write_weights
from tests.plugins import published_reference as reference
from tests.plugins import tower_references as references
from tests.plugins.published_reference import needs_golden

TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}


def logits(stage: Any, states: list[Any], pictures: Any, **options: Any) -> Any:
    module = import_module(f"d2f_published.{stage.name.replace('-', '_')}")
    return np.array(module.network(states, stage.Options(**options), "seeded")(mx.array(pictures)))


@needs_golden
@pytest.mark.parametrize(
    ("model", "stage", "options"),
    [
        ("npr", stages.NPR, {}),
        ("tiny-ladeda", stages.TinyLaDeDa, {"residual": "npr"}),
        ("cnndetection", stages.CNNDetection, {}),
    ],
)
def test_convolutional_networks_are_equal_to_their_authors(model: str, stage: Any, options: dict[str, Any]) -> None:
    found = logits(stage, [reference.state(model)], reference.pictures(model), **options)
    np.testing.assert_allclose(found, np.array(reference.golden(model)["output"]), **TOLERANCE)


@needs_golden
@pytest.mark.parametrize("model", ["Meso4_DF", "MesoInception_DF"])
def test_mesonet_is_equal_to_its_authors(model: str) -> None:
    assert reference.GOLDEN is not None
    held = read_hdf5(reference.GOLDEN / f"{model}.h5")
    found = logits(stages.MesoNet, [held], reference.pictures(model))
    # Their output is the probability of `real`.
    np.testing.assert_allclose(1 / (1 + np.exp(found)), reference.golden(model)["output"], **TOLERANCE)
    assert np.isfinite(found).all()


@needs_golden
@pytest.mark.slow
def test_the_tower_of_univfd_is_equal_to_openais() -> None:
    from d2f_published.univfd import SHAPE

    model = "clip-vit-l-14-visual"
    tower = ViT(SHAPE)
    load_arrays(tower, vit_arrays(reference.state(model), "openai", SHAPE))
    found = np.array(tower(mx.array(reference.pictures(model))))
    np.testing.assert_allclose(found.ravel()[:64], reference.golden(model)["output"], **TOLERANCE)
    weight = reference.tensor("weight", [1, 768])
    head = {"weight": weight, "bias": np.array([0.25], np.float32)}
    whole = logits(stages.UnivFD, [head, reference.state(model)], reference.pictures(model))
    np.testing.assert_allclose(whole, found @ weight[0] + 0.25, **TOLERANCE)


def test_the_diagonal_gradient() -> None:
    from d2f_published.tiny_ladeda import DIAGONAL, gradient
    from scipy.signal import correlate2d

    x = np.random.default_rng(0).standard_normal((1, 9, 7, 3)).astype(np.float32)
    expected = np.stack([correlate2d(x[0, ..., c], np.array(DIAGONAL), mode="same") for c in range(3)], axis=-1)
    np.testing.assert_allclose(np.array(gradient(mx.array(x)))[0], expected, atol=1e-5)


def test_the_residual_of_npr() -> None:
    from d2f_published.npr import residual

    x = np.random.default_rng(0).standard_normal((2, 8, 6, 3)).astype(np.float32)
    expected = x - x[:, ::2, ::2].repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_allclose(np.array(residual(mx.array(x))), expected)


# A picture of arithmetic alone, and what each detector is shown of it: mean, deviation and the four corners' first
# channel. Recorded with Pillow 13; a resize, crop, filter or scale that changes shows here.
ROWS, COLUMNS = np.mgrid[0:300, 0:500]
PICTURE = np.stack([(COLUMNS * 7 + ROWS * 3) % 256, (COLUMNS * ROWS) % 256, (ROWS * 5 - COLUMNS) % 256], -1).astype(
    np.uint8
)
SHOWN: dict[str, tuple[tuple[int, ...], list[float]]] = {
    "commfor": ((384, 384, 3), [0.2156, 1.1412, -0.0801, 0.5536, 0.1768, 0.8104]),
    "univfd": ((224, 224, 3), [0.1790, 1.0891, -0.9748, -0.6098, 1.3172, 1.6822]),
    "npr": ((256, 256, 3), [0.2133, 1.0612, -2.0152, 0.6392, 0.1597, -1.5699]),
    "tiny-ladeda": ((256, 256, 3), [0.2133, 1.0612, -2.0152, 0.6392, 0.1597, -1.5699]),
    "mesonet": ((256, 256, 3), [0.4964, 0.2909, 0.0000, 0.6471, 0.5059, 0.1490]),
    "cnndetection": ((224, 224, 3), [0.2164, 1.2952, -1.1589, -0.7308, 1.5297, 1.9578]),
}


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_the_self_test_picture(stage: Any) -> None:
    framed = stage.framing(PICTURE)
    corners = framed[[0, 0, -1, -1], [0, -1, 0, -1], 0]
    found = [float(framed.mean(dtype=np.float64)), float(framed.std(dtype=np.float64)), *map(float, corners)]
    shape, recorded = SHOWN[stage.name]
    assert framed.shape == shape
    np.testing.assert_allclose(found, recorded, atol=2e-2)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_without_weights_it_says_what_fetches_them(stage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("D2F_CACHE", str(tmp_path))
    with pytest.raises(WeightsMissing) as caught:
        stage(stage.Options()).load()
    assert caught.value.problems[0].notes[-1].startswith(f"to fetch them: d2f weights pull {stage.name}")


def test_names_of_weights_are_their_stages() -> None:
    assert {record.name.partition("/")[0] for record in RECORDS} == {stage.name for stage in STAGES}
    assert all(record.untested == record.sources for record in RECORDS)


@needs_golden
@pytest.mark.parametrize("file", ["Meso4_DF.h5", "MesoInception_DF.h5"])
def test_mesonet_keeps_the_contract_with_its_authors_file(file: str) -> None:
    assert reference.GOLDEN is not None
    check_stage(stages.MesoNet, options={"weights": str(reference.GOLDEN / file)})


@needs_golden
def test_tiny_ladeda_keeps_the_contract(tmp_path: Path) -> None:
    path = tmp_path / "seeded.safetensors"
    arrays = {name: array for name, array in reference.state("tiny-ladeda").items() if array.ndim}
    write_weights(path, arrays)
    check_stage(stages.TinyLaDeDa, options={"weights": str(path)})


def test_other_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    write_weights(path, {"conv1.weight": np.zeros((64, 3, 7, 7), np.float32)})
    for stage in STAGES:
        options = {"weights": str(path)}
        if stage.name == "univfd":
            options["tower"] = str(path)
        made = stage(stage.Options(**options))
        with pytest.raises(D2FError) as caught:
            made.load()
        assert caught.value.problems[0].code == "D2F504", stage.name


def test_the_cards_say_what_each_is_shown() -> None:
    import d2f_published

    card = (Path(d2f_published.__file__).parent / "README.md").read_text("utf-8")
    for stage in STAGES:
        section = card.partition(f"\n## {stage.name}\n")[2].partition("\n## ")[0]
        for word in (
            "Shown",
            "Score",
            "Licence",
            stage.framing.interpolation if stage.framing.fit != "centre" else "centre",
        ):
            assert word in section, (stage.name, word)
        for record in stage.known:
            assert f"`{record.name}`" in section, record.name
            assert record.licence.partition(":")[0] in section


# `commfor` against timm on seeded weights, from the authors' names to the score; needs PyTorch.


@pytest.mark.torch
def test_commfor_is_timms_network(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    references.without_torchvision()
    pytest.importorskip("timm")
    tower = TOWERS["commfor-vits16"]
    assert tower.shape == SHAPE
    module, state = references.reference("commfor-vits16", tower, tmp_path)
    path = tmp_path / "theirs.safetensors"
    write_weights(path, {f"{WRAPPER}{name}": array for name, array in state.items()})
    made = CommFor(CommFor.Options(weights=str(path)))
    made.load()
    view = np.random.default_rng(1).integers(0, 256, (500, 700, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = module(torch.from_numpy(made.framed(view).transpose(2, 0, 1)[None].copy())).item()
    assert made.score([view])[0] == pytest.approx(expected, abs=1e-4, rel=1e-4)
    assert abs(expected) > 1e-3
