"""Convolutions of every form have mlx.nn's values and gradients, and SciPy's."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2f.layers import Conv2d
from d2f.mlx_cpu import convolution
from d2f.mlx_cpu.convolution import ROWS, SHIFTED, TILES, choose, choose_for_weights, convolve, is_covered
from d2f.mlx_cpu.forms import PATCHES, UNFOLDED, Form, Window, matrices, one_axis, two_axes
from tests.unit.mlx_cpu.nearness import assert_near

# Convolutions of every form have mlx.nn's values and gradients, and SciPy's.


FORMS = {"patches": PATCHES, "rows": ROWS, "shifted": SHIFTED, "tiles": TILES, "unfolded": UNFOLDED}


def _numbers(shape: tuple[int, ...], seed: int = 0) -> Any:
    return mx.array(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def _both(x: Any, weight: Any, window: Window) -> tuple[list[Any], list[Any]]:
    """Return output, input gradient and weight gradient: ours and MLX's."""
    theirs = lambda x, w: mx.conv2d(x, w, stride=window.stride, padding=window.padding)  # noqa: E731
    cotangent = _numbers(theirs(x, weight).shape, seed=9)
    found = mx.vjp(lambda x, w: convolve(x, w, window), [x, weight], [cotangent])
    expected = mx.vjp(theirs, [x, weight], [cotangent])
    return [*found[0], *found[1]], [*expected[0], *expected[1]]


sizes = st.integers(1, 19)


kernels = st.one_of(st.just((3, 3)), st.tuples(st.integers(1, 5), st.integers(1, 5)))


strides = st.one_of(st.just((1, 1)), st.tuples(st.integers(1, 4), st.integers(1, 4)))


channels = st.sampled_from([1, 3, 5, 16, 20, 50, 64])


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    images=st.integers(1, 3), height=sizes, width=sizes, kernel=kernels, stride=strides,
    into=channels, out=channels, margin=st.tuples(st.integers(0, 4), st.integers(0, 4)),
)  # fmt: skip
def test_values_and_gradients_are_mlx_own(
    images: int, height: int, width: int, kernel: tuple[int, int], stride: tuple[int, int], into: int, out: int,
    margin: tuple[int, int],
) -> None:  # fmt: skip
    window = Window(kernel, stride, (min(margin[0], kernel[0] - 1), min(margin[1], kernel[1] - 1)))
    x, weight = _numbers((images, height, width, into)), _numbers((out, *kernel, into), seed=1)
    if not is_covered(x, weight, window):
        assert min(window.places(height, width)) < 1
        return
    for found, expected in zip(*_both(x, weight, window), strict=True):
        assert_near(found, expected)


@pytest.mark.parametrize(
    ("shape", "out", "window", "form"),
    [
        ((1, 112, 110, 16), 16, Window((3, 3), padding=(1, 1)), "rows"),
        ((2, 56, 56, 16), 16, Window((3, 3), padding=(1, 1)), "rows"),
        ((2, 9, 7, 20), 24, Window((3, 3), padding=(2, 0)), "rows"),
        ((1, 28, 28, 128), 112, Window((3, 3), padding=(1, 1)), "tiles"),
        ((1, 7, 7, 128), 128, Window((3, 3), padding=(1, 1)), "unfolded"),
        ((2, 14, 14, 64), 64, Window((3, 3), padding=(0, 0)), "rows"),
        ((1, 28, 28, 32), 32, Window((3, 3), padding=(1, 1)), "rows"),
        ((1, 56, 56, 32), 32, Window((3, 3), padding=(1, 1)), "rows"),
        ((2, 20, 20, 3), 16, Window((3, 3), padding=(1, 1)), "unfolded"),
        ((2, 20, 20, 16), 16, Window((5, 5), padding=(2, 2)), "shifted"),
        ((2, 21, 20, 64), 32, Window((3, 3), (2, 2), (1, 1)), "unfolded"),
        ((2, 40, 40, 3), 64, Window((8, 8), (8, 8)), "patches"),
        ((2, 13, 13, 64), 32, Window((1, 1), (2, 2)), "patches"),
        ((1, 33, 31, 3), 64, Window((7, 7), (2, 2), (3, 3)), "unfolded"),
    ],
)
def test_each_form_is_chosen_and_right(shape: tuple[int, ...], out: int, window: Window, form: str) -> None:
    assert choose(shape, out, window) is FORMS[form]
    x, weight = _numbers(shape), _numbers((out, *window.kernel, shape[-1]), seed=1)
    for found, expected in zip(*_both(x, weight, window), strict=True):
        assert_near(found, expected)


@pytest.mark.parametrize(
    ("shape", "out", "form"),
    [
        ((1, 56, 56, 16), 16, "rows"),
        ((16, 14, 14, 64), 64, "tiles"),
        ((1, 6, 6, 64), 64, "unfolded"),
        ((1, 28, 28, 128), 128, "tiles"),
    ],
)
def test_the_gradient_of_weights_has_a_form_of_its_own(shape: tuple[int, ...], out: int, form: str) -> None:
    window = Window((3, 3), padding=(1, 1))
    assert choose_for_weights(shape, out, window) is FORMS[form]
    x, weight = _numbers(shape), _numbers((out, 3, 3, shape[-1]), seed=1)
    for found, expected in zip(*_both(x, weight, window), strict=True):
        assert_near(found, expected)


@pytest.mark.parametrize("form", [ROWS, TILES, SHIFTED, UNFOLDED], ids=["rows", "tiles", "shifted", "unfolded"])
@pytest.mark.parametrize(
    ("size", "margin"),
    [((1, 1), (1, 1)), ((1, 3), (2, 0)), ((2, 3), (2, 2)), ((4, 4), (0, 0)), ((5, 9), (1, 1)), ((13, 8), (2, 0))],
)
def test_forms_of_3x3_are_scipys(form: Form, size: tuple[int, int], margin: tuple[int, int]) -> None:
    from scipy.signal import correlate

    window = Window((3, 3), padding=margin)
    x, weight = np.array(_numbers((2, *size, 3))), np.array(_numbers((4, 3, 3, 3), seed=1))
    padded = np.pad(x.astype(float), ((0, 0), (margin[0],) * 2, (margin[1],) * 2, (0, 0)))
    expected = np.stack([correlate(padded, kernel[None].astype(float), "valid")[..., 0] for kernel in weight], -1)
    assert_near(form.forward(mx.array(x), form.prepare(mx.array(weight)), window), expected)
    gradient = np.random.default_rng(2).standard_normal(expected.shape)
    by_weight = np.zeros(weight.shape)
    for down in range(3):
        for across in range(3):
            part = padded[:, down : down + expected.shape[1], across : across + expected.shape[2]]
            by_weight[:, down, across] = np.einsum("nhwo,nhwc->oc", gradient, part)
    assert_near(form.weight_gradient(mx.array(x), mx.array(gradient.astype(np.float32)), window), by_weight)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"padding": 1}, (2, 9, 11, 20)),
        ({"padding": 1, "bias": False}, (1, 8, 8, 20)),
        ({"padding": 1, "groups": 4}, (2, 9, 9, 20)),
        ({"padding": 2, "dilation": 2}, (2, 9, 9, 20)),
        ({"padding": 5}, (1, 6, 6, 20)),
        ({"stride": (2, 1), "padding": (1, 0)}, (1, 8, 9, 20)),
    ],
)
def test_the_layer_is_mlx_nns(options: dict[str, Any], shape: tuple[int, ...]) -> None:
    ours, theirs = Conv2d(20, 24, 3, **options), nn.Conv2d(20, 24, 3, **options)
    assert ours.parameters().keys() == theirs.parameters().keys()
    if "bias" in theirs:
        theirs.bias = _numbers((24,), seed=3)
    ours.update(theirs.parameters())
    x = _numbers(shape)
    for training in (True, False):
        assert_near(ours.train(training)(x), theirs(x))
    target = _numbers(theirs(x).shape, seed=4)
    loss = lambda model, x: (model(x) * target).sum()  # noqa: E731
    found, expected = (nn.value_and_grad(model, loss)(model, x)[1] for model in (ours, theirs))
    assert found.keys() == expected.keys()
    for name in expected:
        assert_near(found[name], expected[name])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_other_types_are_left_to_mlx(dtype: str) -> None:
    x, weight = _numbers((1, 6, 6, 16)), _numbers((16, 3, 3, 16))
    layer = Conv2d(16, 16, 3, padding=1, bias=False)
    layer.weight = weight.astype(getattr(mx, dtype))
    found = layer(x.astype(getattr(mx, dtype)))
    assert found.dtype == getattr(mx, dtype)
    assert mx.array_equal(found, mx.conv2d(x.astype(found.dtype), layer.weight, padding=1))


def test_on_another_device_the_layer_is_mlx_nns_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from d2f.mlx_cpu import layers

    monkeypatch.setattr(layers, "on_this_cpu", lambda: False)
    monkeypatch.setattr(convolution, "choose", lambda *_: pytest.fail("a CPU form was used"))
    layer, x = Conv2d(16, 16, 3, padding=1), _numbers((1, 8, 8, 16))
    assert mx.array_equal(layer(x), nn.Conv2d.__call__(layer, x))


def test_prepared_weights_follow_the_weights() -> None:
    layer, x = Conv2d(64, 64, 3, padding=1).eval(), _numbers((2, 14, 14, 64))
    assert_near(layer(x), mx.conv2d(x, layer.weight, padding=1) + layer.bias)
    layer.weight = _numbers((64, 3, 3, 64), seed=5)
    assert_near(layer(x), mx.conv2d(x, layer.weight, padding=1) + layer.bias)
    small = x[:1, :6, :6]
    assert_near(layer(small), mx.conv2d(small, layer.weight, padding=1) + layer.bias)
    assert set(layer.parameters()) == {"weight", "bias"}


def test_a_compiled_step_gives_the_same_gradients() -> None:
    x, weight, target = _numbers((2, 12, 12, 20)), _numbers((20, 3, 3, 20), 1), _numbers((2, 12, 12, 20), 2)
    loss = lambda weight: (convolve(x, weight, Window((3, 3), padding=(1, 1))) * target).sum()  # noqa: E731
    assert_near(mx.compile(mx.grad(loss))(weight), mx.grad(loss)(weight))


def test_empty_batches_are_left_to_mlx() -> None:
    assert not is_covered(mx.zeros((0, 4, 4, 3)), mx.zeros((2, 3, 3, 3)), Window((3, 3)))


# The transforms of minimal filtering compute a three-tap filter.


def test_four_outputs_of_three_taps_from_six_products() -> None:
    inputs, taps, outputs = matrices()
    random = np.random.default_rng(0)
    for _ in range(20):
        signal, filter_taps = random.standard_normal(6), random.standard_normal(3)
        found = outputs @ ((taps @ filter_taps) * (inputs @ signal))
        np.testing.assert_allclose(found, np.correlate(signal, filter_taps, "valid"), rtol=0, atol=1e-12)


def test_sixteen_outputs_of_nine_taps_from_thirty_six_products() -> None:
    from scipy.signal import correlate2d

    inputs, taps, outputs = (np.array(matrix, dtype=float) for matrix in two_axes()[:3])
    random = np.random.default_rng(1)
    picture, kernel = random.standard_normal((6, 6)), random.standard_normal((3, 3))
    found = outputs @ ((taps @ kernel.ravel()) * (inputs @ picture.ravel()))
    np.testing.assert_allclose(found.reshape(4, 4), correlate2d(picture, kernel, "valid"), atol=1e-5)


def test_points_round_less_than_the_customary_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    from d2f.mlx_cpu import forms as minimal

    def error() -> float:
        """Return the root mean square error of single precision in two dimensions, over 64 channels."""
        inputs, taps, outputs = (np.kron(matrix, matrix).astype(np.float32) for matrix in matrices())
        random = np.random.default_rng(2)
        pictures, kernels = random.standard_normal((6, 6, 64, 50)), random.standard_normal((3, 3, 64, 50))
        places = [(a, b) for a in range(4) for b in range(4)]
        exact = np.stack([(pictures[a : a + 3, b : b + 3] * kernels).sum((0, 1, 2)) for a, b in places])
        single = (inputs @ pictures.reshape(36, -1).astype(np.float32)).reshape(36, 64, 50)
        single = single * (taps @ kernels.reshape(9, -1).astype(np.float32)).reshape(36, 64, 50)
        return float(np.sqrt(np.mean((outputs @ single.sum(1) - exact) ** 2)))

    chosen = error()
    monkeypatch.setattr(minimal, "FINITE_POINTS", (0.0, 1.0, -1.0, 2.0, -2.0))
    assert chosen < 0.6 * error()


def test_gradients_use_the_transposes() -> None:
    for transforms in (one_axis(), two_axes()):
        assert np.array_equal(np.array(transforms.taps_back), np.array(transforms.taps).T)
        assert np.array_equal(np.array(transforms.outputs_back), np.array(transforms.outputs).T)
