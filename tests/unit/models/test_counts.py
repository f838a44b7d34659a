"""How many numbers each network learns, against what its authors publish."""

from __future__ import annotations

import pytest
from mlx.utils import tree_flatten

from d2f.models import ResNet, SmallVGG, build_model, model_config, parameter_count, resnet_shape


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
