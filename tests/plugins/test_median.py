"""The median held to SciPy, to its definition, and to what a median is for."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from d2f_median import median, middle
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.plugins.pictures import SIZES, noise_picture, photograph


@pytest.mark.parametrize("window", [1, 3, 5, 7, 15])
@pytest.mark.parametrize("size", [*SIZES, (61, 700)], ids=str)
def test_it_equals_scipy(window: int, size: tuple[int, int]) -> None:
    from scipy.ndimage import median_filter

    picture = noise_picture(*size, seed=window)
    expected = np.stack([median_filter(picture[..., c], window, mode="nearest") for c in range(3)], axis=2)
    assert np.array_equal(median(picture, window), expected)


def test_a_photograph_equals_pillow() -> None:
    from PIL import Image, ImageFilter

    picture = photograph("chelsea")
    expected = np.asarray(Image.fromarray(picture).filter(ImageFilter.MedianFilter(5)))
    assert np.array_equal(median(picture, 5), expected)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_the_middle_of_any_odd_number_of_arrays(data: st.DataObject) -> None:
    count = 2 * data.draw(st.integers(0, 20)) + 1
    rows = data.draw(arrays.arrays(np.uint8, (count, 4)))
    expected = [statistics.median(column) for column in rows.T.tolist()]
    assert middle(iter(rows), count).tolist() == expected


def test_specks_go_and_edges_stay() -> None:
    picture = np.zeros((20, 20, 3), np.uint8)
    picture[:, 10:] = 200
    specked = picture.copy()
    specked[5, 5] = specked[12, 15] = 255
    assert np.array_equal(median(specked, 3), picture)


@pytest.mark.parametrize("window", [0, 2, -3])
def test_a_window_has_a_middle(window: int) -> None:
    with pytest.raises(ValueError, match="odd"):
        median(noise_picture(5, 5), window)
