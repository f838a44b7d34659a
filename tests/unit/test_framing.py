"""Framing, held to torchvision's rules for Pillow images, stated here as numbers."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from d2f.framing import Framing, centre

PICTURE = np.random.default_rng(3).integers(0, 256, (60, 101, 3), dtype=np.uint8)


def test_the_shorter_side_is_resized_and_the_longer_cut_off_to_an_integer() -> None:
    # torchvision: int(44 * 101 / 60) = 74 columns; then the centre 32: rows from 6, columns from 21.
    resized = np.asarray(Image.fromarray(PICTURE).resize((74, 44), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(Framing((32, 32), resize=44).frame(PICTURE), resized[6:38, 21:53])
    upright = Framing((32, 32), resize=44).frame(PICTURE.transpose(1, 0, 2))
    assert upright.shape == (32, 32, 3)


def test_both_sides_are_resized() -> None:
    resized = np.asarray(Image.fromarray(PICTURE).resize((20, 30), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(Framing((30, 20), "squash", interpolation="bicubic").frame(PICTURE), resized)


@pytest.mark.parametrize(
    ("size", "rows", "columns"),
    [((59, 100), (0, 59), (0, 100)), ((57, 98), (2, 59), (2, 100)), ((58, 97), (1, 59), (2, 99))],
)
def test_half_pixels_of_the_centre(size: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]) -> None:
    # Rests of 1, 3 and 4 pixels: 0.5 rounds to 0, 1.5 to 2, 2 is 2.
    np.testing.assert_array_equal(centre(PICTURE, size), PICTURE[slice(*rows), slice(*columns)])


def test_a_smaller_view_is_filled_up_with_black() -> None:
    # 5 rows lack: 2 above, 3 below.
    framed = Framing((65, 50), "centre").frame(PICTURE)
    assert framed.shape == (65, 50, 3)
    assert not framed[:2].any()
    assert not framed[62:].any()
    np.testing.assert_array_equal(framed[2:62], PICTURE[:, 26:76])


def test_a_strip_of_pixels_fills_no_memory() -> None:
    strip = np.zeros((1, 40000, 3), np.uint8)
    assert Framing((224, 224), resize=256).frame(strip).shape == (224, 224, 3)


def test_normalisation() -> None:
    level = np.full((1, 1, 3), 51, np.uint8)
    found = Framing((1, 1), "centre", mean=(0.1, 0.2, 0.3), deviation=(0.1, 0.5, 1.0))(level)
    np.testing.assert_allclose(found[0, 0], [1.0, 0.0, -0.1], atol=1e-6)
    assert found.dtype == np.float32


def test_other_roundings() -> None:
    # 101 * 44 / 60 = 74.07: both rules say 74; of 59 x 99 at 44 pixels 73.83 becomes 73 or 74.
    view = PICTURE[:59, :99]
    wide = np.asarray(Image.fromarray(view).resize((74, 44), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(Framing((44, 74), resize=44, longer="nearest").frame(view), wide)
    cut = np.asarray(Image.fromarray(view).resize((73, 44), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(Framing((44, 73), resize=44).frame(view), cut)
    # A rest of 3 pixels: half of it is 1.5, rounded half to even 2, or 1.
    np.testing.assert_array_equal(centre(PICTURE, (57, 98), "floor"), PICTURE[1:58, 1:99])
