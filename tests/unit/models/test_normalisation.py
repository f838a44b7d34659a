"""Pixels normalised before the first layer: in every network, in no weights file, kept when batch norm is folded."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from d2f.layers import fold_batch_norm
from d2f.models import Normalisation, ResNet, arrays_of, build_model, load_arrays, model_config, resnet_shape
from tests.unit.models.cases import CASES
from tests.unit.models.seeded import pictures

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
