"""EXIF orientation against Pillow's own transposition."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from d2f.images.colour import TAG, upright
from d2f.images.read import decode
from tests.unit.images.pictures import packed, smooth


def tagged(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[TAG] = orientation
    return exif


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_all_eight(name: str, orientation: int) -> None:
    picture = smooth(24, 40)
    options = {"lossless": True} if name == "WEBP" else {}
    image = decode(packed(picture, name, exif=tagged(orientation), **options))
    stored = Image.fromarray(decode(packed(picture, name, **options)).pixels)
    stored.getexif()[TAG] = orientation
    expected = np.asarray(ImageOps.exif_transpose(stored))
    np.testing.assert_array_equal(image.pixels, expected)
    assert (image.height, image.width) == expected.shape[:2]
    assert image.pixels.flags.c_contiguous


@pytest.mark.parametrize("name", ["AVIF", "HEIF"])
def test_formats_that_turn_themselves_are_turned_once(name: str) -> None:
    if name == "HEIF":
        pillow_heif = pytest.importorskip("pillow_heif")
        buffer = io.BytesIO()
        file = pillow_heif.from_pillow(Image.fromarray(smooth(32, 64)))
        file.info["exif"] = tagged(6).tobytes()
        file.save(buffer, quality=95)
        data = buffer.getvalue()
    else:
        data = packed(smooth(32, 64), name, exif=tagged(6), quality=95)
    expected = np.rot90(smooth(32, 64), -1)
    pixels = decode(data).pixels
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).mean() < 3


@pytest.mark.parametrize(
    "exif", [b"", b"Exif\0\0junk", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"]
)
def test_damaged_exif_costs_nothing(exif: bytes) -> None:
    picture = smooth(16, 16)
    assert decode(packed(picture, "JPEG", exif=exif)).pixels.shape == picture.shape


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_senseless_orientation_is_left_aside(orientation: int) -> None:
    picture = smooth(16, 24)
    np.testing.assert_array_equal(decode(packed(picture, "PNG", exif=tagged(orientation))).pixels, picture)


def test_upright_is_its_own_inverse_where_it_should_be() -> None:
    picture = smooth(5, 7)
    for orientation in (1, 2, 3, 4, 5, 7):
        np.testing.assert_array_equal(upright(upright(picture, orientation), orientation), picture)
    np.testing.assert_array_equal(upright(upright(picture, 6), 8), picture)
