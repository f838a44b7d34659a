"""Noise held to its distribution, to independence, and to the draws recorded when it was written."""

from __future__ import annotations

import numpy as np
import pytest
from d2f_noise import add_noise

from tests.plugins.pictures import flat_picture, noise_picture, photograph, stage

GREY = flat_picture(400, 500, 128)


@pytest.mark.parametrize("sigma", [1.0, 2.0, 5.0, 10.0])
def test_mean_and_deviation_are_those_of_rounded_gaussian_noise(sigma: float) -> None:
    drawn = add_noise(GREY, sigma, 1) - 128.0
    # Rounding adds a variance of 1/12; 600,000 draws.
    deviation = np.sqrt(sigma**2 + 1 / 12)
    assert abs(drawn.mean()) < 5 * deviation / np.sqrt(drawn.size)
    assert abs(drawn.std() / deviation - 1) < 5 / np.sqrt(2 * drawn.size)


def test_it_is_gaussian() -> None:
    from scipy.stats import kstest

    drawn = add_noise(flat_picture(100, 100, 128), 20.0, 7)[..., 0].ravel() - 128.0
    # Spread within the rounding step, so that a continuous test applies.
    spread = drawn + np.random.default_rng(0).uniform(-0.5, 0.5, drawn.size)
    assert kstest(spread / 20.0, "norm").pvalue > 0.01


def test_channels_and_neighbours_are_independent() -> None:
    drawn = add_noise(GREY, 10.0, 3) - 128.0
    pairs = [
        (drawn[..., 0], drawn[..., 1]),
        (drawn[..., 1], drawn[..., 2]),
        (drawn[:, 1:], drawn[:, :-1]),
        (drawn[1:], drawn[:-1]),
    ]
    for one, other in pairs:
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 5 / np.sqrt(one.size)


def test_seeds() -> None:
    picture = photograph()[:50, :50]
    made = stage("noise", sigma=5)
    assert np.array_equal(made.apply(picture, 2**64 - 1), made.apply(picture, 2**64 - 1))
    one, other = made.apply(GREY, 1) - 128.0, made.apply(GREY, 2) - 128.0
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 5 / np.sqrt(one.size)


def test_the_draws_are_the_recorded_ones() -> None:
    # Recorded with NumPy 2.4. Another NumPy that fails here draws other noise, and every noisy view changes.
    assert add_noise(flat_picture(2, 3, 100), 10.0, 20261121).ravel().tolist() == RECORDED


def test_levels_are_clipped() -> None:
    for level in (0, 255):
        drawn = add_noise(flat_picture(50, 50, level), 30.0, 1)
        assert 0.45 < (drawn == level).mean() < 0.55


def test_no_noise() -> None:
    picture = noise_picture(9, 9)
    assert np.array_equal(stage("noise", sigma=0).apply(picture, 1), picture)


RECORDED = [107, 106, 107, 89, 119, 112, 111, 86, 111, 113, 100, 101, 96, 108, 94, 92, 101, 102]
