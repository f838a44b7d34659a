"""Windows held to slices, and random ones to being uniform."""

from __future__ import annotations

import numpy as np
import pytest
from d2f_crop import crop, kept_size

from tests.plugins.pictures import noise_picture, stage


@pytest.mark.parametrize(
    ("at", "rows", "columns"),
    [
        ("centre", slice(4, 11), slice(7, 17)),
        ("top-left", slice(0, 7), slice(0, 10)),
        ("top-right", slice(0, 7), slice(14, 24)),
        ("bottom-left", slice(8, 15), slice(0, 10)),
        ("bottom-right", slice(8, 15), slice(14, 24)),
    ],
)
def test_every_place(at: str, rows: slice, columns: slice) -> None:
    picture = noise_picture(15, 24)
    assert np.array_equal(stage("crop", size=[10, 7], at=at).apply(picture, 5), picture[rows, columns])


def test_an_odd_rest_stays_at_the_right_and_the_bottom() -> None:
    picture = noise_picture(8, 8)
    assert np.array_equal(crop(picture, (5, 5)), picture[1:6, 1:6])


def test_random_places_are_uniform_and_repeat() -> None:
    picture = np.zeros((6, 7, 3), np.uint8)
    picture[..., 0], picture[..., 1] = np.mgrid[0:6, 0:7]
    made = stage("crop", size=[4, 3], at="random")
    corners = [tuple(made.apply(picture, seed)[0, 0, :2].tolist()) for seed in range(3200)]
    assert corners == [tuple(made.apply(picture, seed)[0, 0, :2].tolist()) for seed in range(3200)]
    counts = np.zeros((4, 4))
    for top, left in corners:
        counts[top, left] += 1
    # Chi-squared with 15 degrees of freedom passes 37.7 once in a thousand.
    assert ((counts - 200) ** 2 / 200).sum() < 37.7


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, (16, 32)),
        ({"fraction": 0.5}, (10, 20)),
        ({"fraction": 0.001}, (1, 1)),
        ({"fraction": 1.0}, (20, 40)),
        ({"size": 24}, (20, 24)),
        ({"size": [100, 3]}, (3, 40)),
        ({"size": 500, "at": "random"}, (20, 40)),
    ],
    ids=str,
)
def test_sides_of_a_picture_40_by_20(options: dict[str, object], shape: tuple[int, int]) -> None:
    assert stage("crop", **options).apply(noise_picture(20, 40), 3).shape == (*shape, 3)


def test_sides_are_rounded_half_to_even() -> None:
    assert kept_size((5, 7), fraction=0.5) == (2, 4)
    assert kept_size((5, 7)) == (5, 7)


def test_the_window_is_a_copy() -> None:
    picture = noise_picture(9, 9)
    out = stage("crop", fraction=1.0).apply(picture, 0)
    out[...] = 0
    assert picture.any()
