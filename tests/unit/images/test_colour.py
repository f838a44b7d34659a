"""Modes other than RGB: palettes, grey, CMYK, Lab, YCbCr, transparency."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from d2f.images.colour import over_grey
from d2f.images.read import decode, read_image
from tests.unit.images.pictures import packed, smooth


def exact_over_grey(colour: int, alpha: int) -> int:
    """The nearest level, by whole numbers; a tie cannot occur since 255 is odd."""
    numerator = 2 * (alpha * colour + (255 - alpha) * 128)
    return (numerator + 255) // 510


@given(st.integers(0, 255), st.integers(0, 255))
def test_transparency_over_mid_grey(colour: int, alpha: int) -> None:
    pixels = np.full((1, 2, 3), colour, dtype=np.uint8)
    laid = over_grey(pixels, np.array([[alpha, 255]], dtype=np.uint8))
    assert (laid[0, 0] == exact_over_grey(colour, alpha)).all()
    assert (laid[0, 1] == colour).all()


def test_composition_in_stripes_covers_every_row() -> None:
    picture = smooth(700, 9)
    alpha = smooth(700, 9, 1)[..., 0]
    expected = np.floor((picture * (alpha / 255.0)[..., None]) + 128 * (1 - alpha / 255.0)[..., None] + 0.5)
    assert np.abs(over_grey(picture, alpha) - expected).max() <= 1


@pytest.mark.parametrize("name", ["PNG", "WEBP", "TIFF"])
def test_alpha_of_a_file(name: str) -> None:
    rgba = np.dstack([smooth(20, 30), np.zeros((20, 30), dtype=np.uint8)])
    rgba[:, 15:, 3] = 255
    options = {"lossless": True, "exact": True} if name == "WEBP" else {}
    pixels = decode(packed(rgba, name, **options)).pixels
    assert (pixels[:, :15] == 128).all()
    np.testing.assert_array_equal(pixels[:, 15:], rgba[:, 15:, :3])


def test_grey_with_alpha() -> None:
    image = Image.fromarray(np.array([[[10, 255], [200, 0], [200, 128]]], dtype=np.uint8))
    pixels = decode(packed(image, "PNG")).pixels
    assert pixels[0].tolist() == [[10] * 3, [128] * 3, [exact_over_grey(200, 128)] * 3]


def test_palette_with_and_without_transparency() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([0, 1, 2])
    colours = [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    assert decode(packed(image, "PNG")).pixels[0].tolist() == colours
    assert decode(packed(image, "GIF")).pixels[0].tolist() == colours
    assert decode(packed(image, "BMP")).pixels[0].tolist() == colours
    assert decode(packed(image, "PNG", transparency=1)).pixels[0].tolist() == [[255, 0, 0], [128] * 3, [0, 0, 255]]
    assert decode(packed(image, "GIF", transparency=1)).pixels[0, 1].tolist() == [128] * 3
    faint = decode(packed(image, "PNG", transparency=bytes([255, 128, 255]))).pixels
    assert faint[0, 1].tolist() == [exact_over_grey(c, 128) for c in (0, 255, 0)]


def test_large_pictures_are_copied_in_stripes(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = smooth(1000, 33)
    data = packed(picture, "PNG")
    monkeypatch.setattr("d2f.images.colour._SMALL", 999)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    np.testing.assert_array_equal(decode(data).pixels, picture)


def test_colour_key_of_an_rgb_png() -> None:
    image = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], dtype=np.uint8))
    assert decode(packed(image, "PNG", transparency=(1, 2, 3))).pixels[0].tolist() == [[128] * 3, [4, 5, 6]]


@pytest.mark.parametrize("name", ["PNG", "JPEG", "TIFF", "BMP", "GIF"])
def test_grey(name: str) -> None:
    plane = smooth(24, 24)[..., 0]
    pixels = decode(packed(plane, name)).pixels
    assert pixels.shape == (24, 24, 3)
    assert (pixels == pixels[..., :1]).all()
    assert np.abs(pixels[..., 0].astype(int) - plane).max() <= (6 if name == "JPEG" else 0)


@pytest.mark.parametrize("name", ["PNG", "TIFF", "BMP"])
def test_one_bit(name: str) -> None:
    image = Image.fromarray(np.array([[True, False, True]]))
    assert image.mode == "1"
    assert decode(packed(image, name)).pixels[0, :, 1].tolist() == [255, 0, 255]


@pytest.mark.parametrize("name", ["JPEG", "TIFF"])
def test_cmyk_without_a_profile(name: str) -> None:
    inks = np.zeros((8, 8, 4), dtype=np.uint8)
    inks[..., 0] = 255
    image = Image.merge("CMYK", [Image.fromarray(inks[..., channel]) for channel in range(4)])
    pixels = decode(packed(image, name)).pixels
    assert np.abs(pixels[4, 4].astype(int) - [0, 255, 255]).max() <= 2


def test_lab_tiff() -> None:
    lab = Image.new("LAB", (4, 4), (128, 128, 128))  # L* = 50, neutral
    grey = decode(packed(lab, "TIFF")).pixels[0, 0]
    assert np.abs(grey.astype(int) - 119).max() <= 1  # sRGB level of L* = 50.2


def test_ycbcr_tiff() -> None:
    picture = smooth(32, 32)
    data = packed(Image.fromarray(picture).convert("YCbCr"), "TIFF")
    try:
        Image.open(io.BytesIO(data)).load()
    except OSError:
        pytest.skip("this version of Pillow does not read it")
    assert np.abs(decode(data).pixels.astype(int) - picture).max() <= 3


def test_transparency_is_said_from_half_a_percent_on(tmp_path: Path) -> None:
    picture = np.full((100, 100, 4), 255, np.uint8)
    picture[:4, :10, 3] = 0
    for rows, noted in ((4, False), (50, True)):
        picture[:rows, :10, 3] = 90
        Image.fromarray(picture).save(tmp_path / "a.png")
        Image.fromarray(picture).save(tmp_path / "a.webp", lossless=True)
        for name in ("a.png", "a.webp"):
            notes = [note.code for note in read_image(str(tmp_path / name)).notes]
            assert notes == ["transparent"] * noted
    assert "5% of the pixels are transparent" in read_image(str(tmp_path / "a.png")).notes[0].message
