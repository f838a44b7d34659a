"""Resampling held to its kernels in float64, and sizes to the rule."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from d2f_resize import resample, target_size
from numpy.typing import NDArray

from tests.plugins.pictures import Pixels, noise_picture, photograph, stage

Matrix = NDArray[np.float64]
Kernel = Callable[[Matrix], Matrix]


def cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys, 1981, equation 15, with a = -1/2."""
    a, x = -0.5, np.abs(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


KERNELS: dict[str, tuple[Kernel, float]] = {
    "box": (lambda x: ((x > -0.5) & (x <= 0.5)).astype(float), 0.5),
    "bilinear": (lambda x: np.maximum(0.0, 1.0 - np.abs(x)), 1.0),
    "hamming": (lambda x: np.where(np.abs(x) < 1, np.sinc(x) * (0.54 + 0.46 * np.cos(np.pi * x)), 0.0), 1.0),
    "bicubic": (cubic, 2.0),
    "lanczos": (lambda x: np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0), 3.0),
}


def weights(size: int, wanted: int, kernel: Kernel) -> NDArray[np.float64]:
    """Return the matrix (wanted, size) of a resampling: the kernel, widened by the factor of reduction."""
    ratio = size / wanted
    widened = max(1.0, ratio)
    centre = (np.arange(wanted) + 0.5) * ratio
    matrix = kernel((np.arange(size)[None] + 0.5 - centre[:, None]) / widened)
    return matrix / matrix.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("size", [(37, 21), (11, 60), (95, 91), (187, 31)], ids=str)
def test_it_is_the_kernel(name: str, size: tuple[int, int]) -> None:
    kernel, _ = KERNELS[name]
    picture = photograph("coffee")[:60, :95]
    matrices = weights(95, size[0], kernel), weights(60, size[1], kernel)
    made = resample(picture, size, name)
    # Which direction comes first is Pillow's choice, by what it costs.
    off = min((np.abs(made - in_turn(picture, *matrices, first)) for first in ("across", "down")), key=np.mean)
    assert off.max() < 1.6
    # Where fixed point and float fall on two sides of a half, a level differs.
    assert (off > 0.51).mean() < 0.01


def in_turn(picture: Pixels, across: Matrix, down: Matrix, first: str) -> Matrix:
    """Resample in float64, in one direction and then the other, rounded and clipped between them as by Pillow."""
    steps = [("wx,yxc->ywc", across), ("hy,ywc->hwc", down)]
    (one, matrix), (other, last) = steps if first == "across" else reversed(steps)
    middle = np.floor(np.clip(np.einsum(one, matrix, picture), 0, 255) + 0.5)
    return np.clip(np.einsum(other, last, middle), 0, 255)


def test_nearest_repeats_pixels() -> None:
    picture = noise_picture(7, 9)
    assert np.array_equal(resample(picture, (27, 14), "nearest"), picture.repeat(2, axis=0).repeat(3, axis=1))


def test_half_by_box_is_the_mean_of_four() -> None:
    picture = noise_picture(40, 60)
    mean = picture.reshape(20, 2, 30, 2, 3).mean(axis=(1, 3))
    assert np.abs(stage("resize", factor=0.5, filter="box").apply(picture, 0) - mean).max() <= 1.0


def test_an_equal_size_is_a_copy() -> None:
    picture = noise_picture(11, 12)
    for options in ({"factor": 1.0}, {"size": [12, 11]}, {"longest": 12}, {"longest": 500, "back": True}):
        assert np.array_equal(stage("resize", **options).apply(picture, 0), picture)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, (50, 75)),
        ({"factor": 0.75}, (75, 112)),
        ({"factor": 1.25}, (125, 188)),
        ({"factor": 0.001}, (1, 1)),
        ({"size": [64, 32]}, (32, 64)),
        ({"longest": 128}, (85, 128)),
        ({"longest": 1}, (1, 1)),
        ({"longest": 1000}, (100, 150)),
        ({"factor": 0.5, "back": True}, (100, 150)),
        ({"longest": 128, "back": True}, (100, 150)),
    ],
    ids=str,
)
def test_sides_of_a_picture_150_by_100(options: dict[str, object], shape: tuple[int, int]) -> None:
    assert stage("resize", **options).apply(noise_picture(100, 150), 0).shape == (*shape, 3)


def test_sides_are_rounded_half_to_even() -> None:
    assert target_size((5, 7), factor=0.5) == (2, 4)
    assert target_size((3, 1), longest=2) == (2, 1)


def test_back_is_there_and_back_again() -> None:
    picture = photograph()
    there = stage("resize", factor=0.5, filter="lanczos").apply(picture, 0)
    back = stage("resize", size=[512, 512], filter="lanczos").apply(there, 0)
    assert np.array_equal(stage("resize", factor=0.5, back=True, filter="lanczos").apply(picture, 0), back)
    # Half the frequencies are gone.
    spectrum = [np.abs(np.fft.fft2(x[..., 1].astype(float))) ** 2 for x in (picture, back)]
    assert spectrum[1][200:312, 200:312].sum() < 0.05 * spectrum[0][200:312, 200:312].sum()
