"""Luma held to exact integers for every colour there is, and to Pillow's."""

from __future__ import annotations

import numpy as np
import pytest
from d2f_greyscale import luma
from PIL import Image

from tests.plugins.pictures import PHOTOGRAPHS, photograph


def test_every_colour_is_rounded_half_to_even() -> None:
    green, blue = np.mgrid[0:256, 0:256]
    for red in range(256):
        picture = np.stack([np.full_like(green, red), green, blue], axis=2).astype(np.uint8)
        whole, rest = np.divmod(299 * red + 587 * green + 114 * blue, 1000)
        up = (rest > 500) | ((rest == 500) & (whole % 2 == 1))
        assert np.array_equal(luma(picture)[..., 0], whole + up)


@pytest.mark.parametrize("photo", PHOTOGRAPHS)
def test_photographs_equal_pillow_within_its_fixed_point(photo: str) -> None:
    picture = photograph(photo)
    out = luma(picture)
    assert np.array_equal(out[..., 0], out[..., 1])
    assert np.array_equal(out[..., 0], out[..., 2])
    expected = np.asarray(Image.fromarray(picture).convert("L"))
    assert np.abs(out[..., 0].astype(int) - expected).max() <= 1
    assert (out[..., 0] != expected).mean() < 1e-3
