"""The blur held to SciPy's, to the kernel's own formula, and to what a blur keeps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from d2f_gaussian_blur import gaussian_blur, kernel

from tests.plugins.pictures import PHOTOGRAPHS, SIZES, Pixels, distance_to_half, half_even, noise_picture, photograph

SIGMAS = [0.3, 0.5, 1.0, 2.0, 6.5]


def held_to_scipy(picture: Pixels, sigma: float, truncate: float = 4.0) -> None:
    from scipy.ndimage import gaussian_filter

    exact = np.stack(
        [gaussian_filter(picture[..., c].astype(float), sigma, truncate=truncate, mode="reflect") for c in range(3)],
        axis=2,
    )
    differs = gaussian_blur(picture, sigma, truncate) != half_even(exact)
    assert np.all(distance_to_half(exact[differs]) < 1e-3)


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("size", [*SIZES, (61, 700)], ids=str)
def test_it_equals_scipy(sigma: float, size: tuple[int, int]) -> None:
    held_to_scipy(noise_picture(*size), sigma)


@pytest.mark.parametrize("photo", PHOTOGRAPHS)
@pytest.mark.parametrize("truncate", [1.0, 3.0])
def test_photographs_equal_scipy(photo: str, truncate: float) -> None:
    held_to_scipy(photograph(photo)[:200, :230], 1.5, truncate)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_the_kernel_is_a_gaussian_of_sum_one(sigma: float) -> None:
    weights = kernel(sigma)
    middle = len(weights) // 2
    assert middle == int(4 * sigma + 0.5)
    assert math.isclose(weights.sum(), 1.0, abs_tol=1e-15)
    for away in range(middle + 1):
        assert math.isclose(weights[middle + away] / weights[middle], math.exp(-(away**2) / (2 * sigma**2)))
        assert weights[middle + away] == weights[middle - away]


def test_a_point_becomes_the_kernel() -> None:
    point = np.zeros((21, 21, 3), np.uint8)
    point[10, 10] = 255
    weights = kernel(1.5)
    expected = np.zeros((21, 21))
    expected[4:17, 4:17] = 255 * np.outer(weights, weights)
    assert np.array_equal(gaussian_blur(point, 1.5)[..., 1], half_even(expected))


def test_the_mean_is_kept() -> None:
    picture = photograph("coffee")
    assert abs(gaussian_blur(picture, 3.0).mean() - picture.mean()) < 0.1
