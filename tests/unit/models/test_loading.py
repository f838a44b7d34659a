"""Arrays into networks, and networks into arrays."""

from __future__ import annotations

from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from d2f import D2FError
from d2f.models import ResNet, SmallVGG, arrays_of, load_arrays, resnet_shape
from d2f.weights import read_weights, write_weights


@pytest.fixture
def pictures() -> mx.array:
    return mx.array(np.random.default_rng(3).uniform(size=(2, 32, 32, 3)).astype(np.float32))


def test_round_trip(tmp_path: Path, pictures: mx.array) -> None:
    one, other = ResNet(resnet_shape(20)).eval(), ResNet(resnet_shape(20)).eval()
    write_weights(tmp_path / "a.safetensors", arrays_of(one))
    assert load_arrays(other, read_weights(tmp_path / "a.safetensors").arrays) is True
    assert mx.array_equal(one(pictures), other(pictures))


def test_half_precision_is_widened(pictures: mx.array) -> None:
    one, other = ResNet(resnet_shape(20)).eval(), ResNet(resnet_shape(20)).eval()
    load_arrays(other, {name: array.astype(np.float16) for name, array in arrays_of(one).items()})
    assert other.stem.weight.dtype == mx.float32
    np.testing.assert_allclose(np.array(other(pictures)), np.array(one(pictures)), atol=2e-2)


def test_a_new_head_stays_fresh(pictures: mx.array) -> None:
    thousand, one = ResNet(resnet_shape(20, logits=1000)).eval(), ResNet(resnet_shape(20)).eval()
    head = np.array(one.head.weight)
    assert load_arrays(one, arrays_of(thousand), new_head=True) is False
    np.testing.assert_array_equal(np.array(one.head.weight), head)
    assert mx.array_equal(one.features(pictures), thousand.features(pictures))


def test_a_head_that_fits_is_loaded() -> None:
    one, other = SmallVGG(3), SmallVGG(3)
    assert load_arrays(other, arrays_of(one), new_head=True) is True
    assert mx.array_equal(one.head.weight, other.head.weight)


def test_a_head_is_not_left_out_unasked() -> None:
    model = ResNet(resnet_shape(20))
    with pytest.raises(D2FError) as caught:
        load_arrays(model, arrays_of(ResNet(resnet_shape(20, logits=2))), "soft/default")
    assert str(caught.value).splitlines() == [
        "error[D2F504]: weights 'soft/default' do not fit the model",
        "   = shape of head.bias: (2), not (1)",
        "   = shape of head.weight: (2, 64), not (1, 64)",
    ]


def test_a_new_head_excuses_nothing_else() -> None:
    arrays = arrays_of(ResNet(resnet_shape(20, logits=2)))
    del arrays["stem.weight"]
    with pytest.raises(D2FError, match=r"missing: stem\.weight \(16, 3, 3, 3\)"):
        load_arrays(ResNet(resnet_shape(20)), arrays, new_head=True)
