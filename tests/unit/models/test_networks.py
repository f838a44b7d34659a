"""Networks by their configuration: shapes, parameter counts, normalisation, and what they compute."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten
from pydantic import BaseModel, ValidationError
from scipy.signal import correlate

from d2f.layers import fold_batch_norm
from d2f.models import (
    VGG,
    ModelConfig,
    Normalisation,
    ResNet,
    ResNetConfig,
    SmallVGG,
    arrays_of,
    build_model,
    from_published,
    load_arrays,
    model_config,
    parameter_count,
    resnet_shape,
    vgg_shape,
)
from d2f.models.resnet import grid_average
from tests.unit.models import numpy_forward, state_dicts
from tests.unit.models.cases import CASES, Case
from tests.unit.models.seeded import pictures, state_dict

# Configurations of models, as recipes hold them.


class Recipe(BaseModel):
    model: ModelConfig


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ({"architecture": "resnet", "depth": 56, "residual": False}, ResNet),
        ({"architecture": "resnet", "depth": 18, "stem": {"width": 32, "kernel": 4, "stride": 4}}, ResNet),
        ({"architecture": "vgg", "depth": 11, "batch_norm": True}, VGG),
        ({"architecture": "small-vgg", "dropout": 0.2, "logits": 2}, SmallVGG),
    ],
)
def test_a_recipe_s_model(data: dict[str, object], kind: type) -> None:
    config = Recipe.model_validate({"model": data}).model
    assert config == model_config(data)
    assert model_config(config.model_dump()) == config
    assert isinstance(build_model(config), kind)


def test_a_stem_of_one_s_own() -> None:
    stem = {"width": 16, "kernel": 4, "stride": 4}
    model = build_model(model_config({"architecture": "resnet", "depth": 20, "stem": stem}))
    assert model.stem.weight.shape == (16, 4, 4, 3)


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({"architecture": "resnet", "depth": 21}, "depth"),
        ({"architecture": "resnet", "depth": 18, "batch_norm": True}, "batch_norm"),
        ({"architecture": "vgg", "depth": 11, "residual": False}, "residual"),
        ({"architecture": "vgg", "depth": 11, "dropout": 1.0}, "dropout"),
        ({"architecture": "small-vgg", "logits": 0}, "logits"),
        ({"architecture": "transformer"}, ""),
        ({"depth": 18}, ""),
    ],
)
def test_mistakes_are_placed(data: dict[str, object], where: str) -> None:
    with pytest.raises(ValidationError) as caught:
        model_config(data)
    (error,) = caught.value.errors()
    assert (str(error["loc"][-1]) if error["loc"] else "") == where


def test_every_key_is_described() -> None:
    schema = ResNetConfig.model_json_schema()
    assert all(key.get("description") or "$ref" in str(key) for key in schema["properties"].values())


@pytest.mark.parametrize("shape", [resnet_shape, vgg_shape])
def test_a_depth_that_nobody_published(shape: object) -> None:
    with pytest.raises(ValueError, match=r"of depth 17 was published; there are .*1"):
        shape(17)  # type: ignore[operator]


# How many numbers each network learns, against what its authors publish.


def count(**config: object) -> int:
    return parameter_count(build_model(model_config(config)))


# torchvision's documentation of its weights, "num_params".
@pytest.mark.parametrize(("depth", "published"), [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032)])
def test_imagenet_resnets(depth: int, published: int) -> None:
    assert count(architecture="resnet", depth=depth, logits=1000) == published


@pytest.mark.parametrize(
    ("depth", "batch_norm", "published"),
    [
        (11, False, 132_863_336),
        (13, False, 133_047_848),
        (16, False, 138_357_544),
        (19, False, 143_667_240),
        (11, True, 132_868_840),
        (13, True, 133_053_736),
        (16, True, 138_365_992),
        (19, True, 143_678_248),
    ],
)
def test_vggs(depth: int, batch_norm: bool, published: int) -> None:
    assert count(architecture="vgg", depth=depth, batch_norm=batch_norm, logits=1000) == published


# He et al. 2016 (doi:10.1109/CVPR.2016.90), table 6, in millions.
@pytest.mark.parametrize(("depth", "published"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)])
def test_cifar_resnets(depth: int, published: float) -> None:
    exact = count(architecture="resnet", depth=depth, logits=10)
    assert round(exact / 1e6, 1 if depth == 110 else 2) == published
    assert exact == cifar_by_hand(depth)


def cifar_by_hand(depth: int) -> int:
    """Option A has no weights in its shortcuts: 3x3 kernels, two numbers a channel of batch norm, and the head."""
    n = (depth - 2) // 6
    kernels = 9 * (3 * 16 + 2 * n * 16**2 + 16 * 32 + (2 * n - 1) * 32**2 + 32 * 64 + (2 * n - 1) * 64**2)
    norms = 2 * (16 + 2 * n * (16 + 32 + 64))
    return kernels + norms + 64 * 10 + 10


@pytest.mark.parametrize("depth", [20, 110])
def test_a_plain_cifar_network_learns_as_many(depth: int) -> None:
    assert count(architecture="resnet", depth=depth, logits=10, residual=False) == cifar_by_hand(depth)


def test_a_plain_imagenet_network_lacks_its_projections() -> None:
    projections = 64 * 128 + 128 * 256 + 256 * 512 + 2 * (128 + 256 + 512)
    assert count(architecture="resnet", depth=18, logits=1000, residual=False) == 11_689_512 - projections


def test_small_vgg() -> None:
    model = SmallVGG(logits=10)
    assert parameter_count(model) == 1_251_658
    blocks = [array for name, array in tree_flatten(model.trainable_parameters()) if name.startswith("blocks.")]
    assert sum(array.size for array in blocks) == 287_904


@pytest.mark.parametrize("logits", [1, 2, 10])
def test_any_head(logits: int) -> None:
    before = parameter_count(ResNet(resnet_shape(20, logits=1)))
    assert count(architecture="resnet", depth=20, logits=logits) == before + (logits - 1) * 65


def test_what_learns_is_what_is_counted() -> None:
    model = build_model(model_config({"architecture": "vgg", "depth": 11, "batch_norm": True}))
    assert sum(array.size for _, array in tree_flatten(model.trainable_parameters())) == parameter_count(model)


# Pixels normalised before the first layer: in every network, in no weights file, kept when batch norm is folded.

# Of torchvision's documentation, for red, green and blue.
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

CONFIGS = (
    ({"architecture": "resnet", "depth": 20, "logits": 3}, 32),
    ({"architecture": "resnet", "depth": 18, "logits": 3}, 32),
    ({"architecture": "vgg", "depth": 11, "logits": 3}, 32),
    ({"architecture": "small-vgg", "logits": 3}, 28),
)


@pytest.mark.parametrize(("data", "side"), CONFIGS, ids=lambda one: str(one))
def test_it_is_what_numpy_does_to_the_pixels(data: dict[str, Any], side: int) -> None:
    mx.random.seed(4)
    plain = build_model(model_config(data)).eval()
    made = build_model(model_config({**data, "normalise": "imagenet"})).eval()
    # Strictly: a normalised network has the same arrays as any other.
    load_arrays(made, arrays_of(plain))
    x = np.random.default_rng(2).uniform(0, 1, (2, side, side, 3))
    wanted = np.array(plain(mx.array(((x - MEAN) / DEVIATION).astype(np.float32))))
    found = np.array(made(mx.array(x.astype(np.float32))))
    np.testing.assert_allclose(found, wanted, atol=1e-4 * max(1.0, np.abs(wanted).max()))
    assert np.abs(found - np.array(plain(mx.array(x.astype(np.float32))))).max() > 1e-3 * np.abs(wanted).max()


def test_a_published_network_on_normalised_pixels_is_the_reference_s() -> None:
    case = CASES[0]
    plain = case.model(case.state())
    made = build_model(model_config({"architecture": "resnet", "depth": 18, "logits": 1000, "normalise": "imagenet"}))
    load_arrays(made, arrays_of(plain))
    x = pictures(case.name, case.shape)
    x = (x - x.min()) / (x.max() - x.min())
    wanted = case.reference((x - MEAN.reshape(3, 1, 1)) / DEVIATION.reshape(3, 1, 1), case.state())
    found = np.array(made.eval()(mx.array(x.transpose(0, 2, 3, 1).astype(np.float32))))
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())


def test_folding_and_training_keep_it() -> None:
    mx.random.seed(1)
    values = Normalisation((0.5, 0.4, 0.3), (0.2, 0.25, 0.5))
    made = ResNet(resnet_shape(20), values)
    x = mx.array(np.random.default_rng(5).uniform(0, 1, (4, 24, 24, 3)).astype(np.float32))
    plain = ResNet(resnet_shape(20))
    load_arrays(plain, arrays_of(made))
    moved = (x - mx.array([0.5, 0.4, 0.3])) / mx.array([0.2, 0.25, 0.5])
    for network in (made, plain):
        network.train()
    np.testing.assert_allclose(np.array(made(x)), np.array(plain(moved)), atol=1e-4)
    np.testing.assert_allclose(np.array(fold_batch_norm(made)(x)), np.array(plain.eval()(moved)), atol=1e-4)


def test_a_deviation_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"deviation must be above 0 in each channel, not \(1.0, 0.0, 1.0\)"):
        Normalisation((0.0, 0.0, 0.0), (1.0, 0.0, 1.0))


# What the networks compute, against NumPy's arithmetic in float64 and against stored outputs of PyTorch.

# Made by tests/unit/models/torch_forward.py with PyTorch 2.13 on a CPU; `pytest -m torch` holds them to it.
STORED = json.loads((Path(__file__).parent / "outputs.json").read_text("utf-8"))


def close(found: np.ndarray, wanted: np.ndarray) -> bool:  # type: ignore[type-arg]
    """Whether outputs agree to 1e-4 of their size."""
    return bool(np.max(np.abs(found - wanted)) <= 1e-4 * max(1.0, np.max(np.abs(wanted))))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
class TestEachNetwork:
    def test_numpy(self, case: Case) -> None:
        assert close(case.outputs(), case.reference(pictures(case.name, case.shape), case.state()))

    def test_stored_outputs(self, case: Case) -> None:
        assert close(case.outputs()[:, :5], np.array(STORED[case.name]))


def test_the_authors_own_code_of_a_published_detector() -> None:
    # CNNDetection (Wang et al. 2020, arXiv:1912.11035) is torchvision's ResNet-50 with one logit. These two logits
    # are those of its authors' own PyTorch code, for weights and pictures drawn by the rule in seeded.py.
    state = state_dict(state_dicts.resnet(50, classes=1))
    found = from_published(state, "torchvision")
    model = build_model(found.config)
    load_arrays(model, found.arrays)
    x = mx.array(pictures("cnndetection", (2, 3, 224, 224)).transpose(0, 2, 3, 1))
    logits = np.array(model.eval()(x))
    assert logits.shape == (2,)
    np.testing.assert_allclose(logits, [10.037578582763672, 10.025336265563965], rtol=1e-4)


def test_the_reference_s_convolution_is_scipy_s_correlation() -> None:
    drawn = np.random.default_rng(1)
    x, weight = drawn.standard_normal((1, 3, 9, 8)), drawn.standard_normal((2, 3, 3, 3))
    padded = np.pad(x[0], ((0, 0), (1, 1), (1, 1)))
    wanted = np.array([[correlate(padded, kernel, "valid")[0, ::2, ::2] for kernel in weight]])
    np.testing.assert_allclose(numpy_forward.convolution(x, weight, 2, 1), wanted, atol=1e-12)


@pytest.mark.parametrize(("height", "width"), [(7, 7), (14, 21), (9, 8), (3, 5), (1, 1)])
def test_grid_average(height: int, width: int) -> None:
    x = np.random.default_rng(2).standard_normal((2, 4, height, width))
    found = np.array(grid_average(mx.array(x.astype(np.float32).transpose(0, 2, 3, 1)), 7))
    np.testing.assert_allclose(found.transpose(0, 3, 1, 2), numpy_forward.adaptive_mean(x, 7), atol=1e-6)


@pytest.mark.parametrize(("size", "wanted"), [(28, 7), (7, 2), (2, 1)])
def test_the_small_network_s_maxima(size: int, wanted: int) -> None:
    assert numpy_forward.maximum(np.zeros((1, 1, size, size)), 4, 4, ceil=True).shape[2:] == (wanted, wanted)


# The networks against PyTorch on the same weights; run with ``pytest -m torch``.


@pytest.fixture(scope="module")
def needs_torch() -> None:
    pytest.importorskip("torch")


@pytest.mark.filterwarnings("default")
@pytest.mark.torch
@pytest.mark.usefixtures("needs_torch")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_forward_is_pytorch_s(case: Case) -> None:
    from tests.unit.models.torch_forward import forward

    wanted = forward(case)
    assert close(case.outputs(), wanted)
    assert close(np.array(STORED[case.name]), wanted[:, :5])


@pytest.mark.filterwarnings("default")
@pytest.mark.torch
@pytest.mark.usefixtures("needs_torch")
def test_a_whole_vgg_of_timm_s() -> None:
    import torch

    from tests.unit.models.torch_forward import vgg

    state = state_dict(state_dicts.vgg(11))
    # timm's hidden layers hold torchvision's numbers as convolutions over the whole map.
    named = zip(state_dicts.vgg(11, timm=True).items(), state.values(), strict=True)
    found = from_published({name: array.reshape(shape) for (name, shape), array in named}, "timm")
    model = build_model(found.config).eval()
    load_arrays(model, found.arrays)
    x = pictures("vgg-11", (1, 3, 64, 64))
    with torch.no_grad():
        wanted = vgg(torch.from_numpy(x), {name: torch.from_numpy(one) for name, one in state.items()}, 11).numpy()
    assert close(np.array(model(mx.array(x.transpose(0, 2, 3, 1)))), wanted)
