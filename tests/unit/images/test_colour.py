"""Pixels made 8-bit sRGB, upright: modes other than RGB, more than 8 bits, ICC profiles, EXIF orientation."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import skimage
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from d2f.images.colour import TAG, from_16_bits, grey_16_bits, over_grey, upright
from d2f.images.read import decode, read_image
from tests.unit.images.pictures import packed, smooth

# Modes other than RGB: palettes, grey, CMYK, Lab, YCbCr, transparency.


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


# More than 8 bits a sample, against rounding by whole numbers.


def png_16(samples: NDArray[np.uint16]) -> bytes:
    """A 16-bit PNG (W3C PNG, third edition) of shape (height, width, 1, 3 or 4)."""
    height, width, channels = samples.shape
    colour = {1: 0, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff_16(samples: NDArray[np.uint16], order: str) -> bytes:
    """An uncompressed TIFF 6.0 of 16-bit RGB in either byte order."""
    height, width, _ = samples.shape
    body = samples.astype(f"{order}u2").tobytes()
    fields = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, 0), (259, 3, 1, 1), (262, 3, 1, 2)]
    fields += [(273, 4, 1, 0), (277, 3, 1, 3), (278, 3, 1, height), (279, 4, 1, len(body))]
    after = 8 + 2 + 12 * len(fields) + 4
    values = {258: after, 273: after + 6}
    out = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(fields))
    for tag, kind, count, value in fields:
        value = values.get(tag, value)
        short = kind == 3 and count == 1
        packed_value = struct.pack(f"{order}H", value) + b"\0\0" if short else struct.pack(f"{order}I", value)
        out += struct.pack(f"{order}HHI", tag, kind, count) + packed_value
    return out + bytes(4) + struct.pack(f"{order}3H", 16, 16, 16) + body


def every_value() -> NDArray[np.uint16]:
    return np.arange(65536, dtype=np.uint16).reshape(256, 256)


def exact(values: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """The level nearest to value / 257; a tie cannot occur since 257 is odd."""
    return ((2 * values.astype(np.int64) + 257) // 514).astype(np.uint8)


def test_every_16_bit_value_is_rounded_to_the_nearest() -> None:
    np.testing.assert_array_equal(from_16_bits(every_value()), exact(every_value()))


def test_grey_png_and_tiff() -> None:
    values = every_value()
    image = Image.fromarray(values)
    for data in (png_16(values[..., None]), packed(image, "TIFF"), packed(image, "TIFF", compression="tiff_lzw")):
        np.testing.assert_array_equal(decode(data).pixels, exact(values)[..., None].repeat(3, axis=2))


def colours() -> NDArray[np.uint16]:
    values = every_value()
    return np.stack([values, values[::-1], values.T], axis=-1)


def test_colour_png() -> None:
    np.testing.assert_array_equal(decode(png_16(colours())).pixels, exact(colours()))


@pytest.mark.parametrize("order", ["<", ">"])
def test_colour_tiff(order: str) -> None:
    np.testing.assert_array_equal(decode(tiff_16(colours(), order)).pixels, exact(colours()))


def test_colour_with_alpha() -> None:
    samples = np.dstack([colours(), np.full((256, 256), 65535, dtype=np.uint16)])
    samples[:100, :, 3] = 0
    pixels = decode(png_16(samples)).pixels
    assert (pixels[:100] == 128).all()
    np.testing.assert_array_equal(pixels[100:], exact(colours()[100:]))


@pytest.mark.parametrize("darkest", [0.0, 0.5])
@pytest.mark.parametrize("white", [1.0, 255.0, 65535.0])
def test_float_tiff_takes_white_from_its_range(white: float, darkest: float) -> None:
    plane = np.linspace(darkest * white, white, 512, dtype=np.float32).reshape(16, 32)
    pixels = decode(packed(Image.fromarray(plane), "TIFF")).pixels
    assert np.abs(pixels[..., 0] - plane * (255 / white)).max() <= 0.5 + 1e-4


def test_float_beyond_every_white_is_spread_over_its_own_range() -> None:
    image = Image.fromarray(np.array([[-5.0, 0.0, 5.0]], dtype=np.float32))
    assert from_16_bits(grey_16_bits(image)).tolist() == [[0, 128, 255]]


def test_what_is_not_finite_is_black() -> None:
    image = Image.fromarray(np.array([[np.nan, np.inf, 1.0, -np.inf]], dtype=np.float32))
    assert from_16_bits(grey_16_bits(image)).tolist() == [[0, 0, 255, 0]]


def test_flat_planes_have_no_range_to_divide_by() -> None:
    for value in (0.0, -3.0, 1e9):
        assert from_16_bits(grey_16_bits(Image.fromarray(np.full((2, 2), value, dtype=np.float32)))).max() <= 255


def test_32_bit_integers() -> None:
    image = Image.fromarray(np.array([[0, 257, 65535]], dtype=np.int32))
    assert from_16_bits(grey_16_bits(image)).tolist() == [[0, 1, 255]]


# ICC profiles against the definitions of the colour spaces they describe.

DATA = Path(skimage.__file__).parent / "data"

# Linear RGB to CIE XYZ at D65: Adobe RGB (1998) Color Image Encoding, version 2005-05, 4.3.5.3;
# sRGB, IEC 61966-2-1.
ADOBE = np.array([[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]])
SRGB = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def adobe_to_srgb(levels: NDArray[np.uint8]) -> NDArray[np.float64]:
    linear = (levels / 255.0) ** (563 / 256)
    linear = np.clip(linear @ (np.linalg.inv(SRGB) @ ADOBE).T, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def grey_profile(gamma: float) -> bytes:
    """A grey ICC profile of version 2 (ICC.1:2001-04) with one gamma."""
    curve = b"curv" + bytes(4) + (1).to_bytes(4, "big") + round(gamma * 256).to_bytes(2, "big") + bytes(2)
    white = b"XYZ " + bytes(4) + b"".join(round(v * 65536).to_bytes(4, "big") for v in (0.9642, 1.0, 0.8249))
    text = b"desc" + bytes(4) + (5).to_bytes(4, "big") + b"grey\0" + bytes(79)
    body, tags = b"", []
    for name, data in ((b"kTRC", curve), (b"wtpt", white), (b"desc", text), (b"cprt", b"text" + bytes(5))):
        tags.append((name, 128 + 4 + 12 * 4 + len(body), len(data)))
        body += data + bytes(-len(data) % 4)
    table = len(tags).to_bytes(4, "big") + b"".join(
        name + at.to_bytes(4, "big") + size.to_bytes(4, "big") for name, at, size in tags
    )
    head = bytes(4) + b"lcms" + b"\x02\x10\0\0" + b"mntrGRAYXYZ " + bytes(12) + b"acsp" + bytes(28)
    head += b"".join(round(v * 65536).to_bytes(4, "big") for v in (0.9642, 1.0, 0.8249))
    whole = head.ljust(128, b"\0") + table + body
    return len(whole).to_bytes(4, "big") + whole[4:]


def test_photograph_in_adobe_rgb_becomes_srgb() -> None:
    path = str(DATA / "rocket.jpg")
    with Image.open(path) as opened:
        expected = adobe_to_srgb(np.asarray(opened))
        unmanaged = np.asarray(opened).astype(float)
    difference = np.abs(read_image(path).pixels - expected)
    assert np.abs(unmanaged - expected).mean() > 5, "the profile matters for this picture"
    assert difference.mean() < 0.4
    assert np.quantile(difference, 0.999) <= 2


@pytest.mark.parametrize("name", ["astronaut.png", "chelsea.png", "hubble_deep_field.jpg"])
def test_srgb_itself_leaves_every_pixel_as_it_is(name: str) -> None:
    with Image.open(DATA / name) as opened:
        assert "icc_profile" in opened.info
        np.testing.assert_array_equal(read_image(str(DATA / name)).pixels, np.asarray(opened))


def test_grey_profile() -> None:
    levels = np.arange(256, dtype=np.uint8)[None].repeat(4, axis=0)
    linear = (levels / 255.0) ** 1.8
    expected = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    pixels = decode(packed(levels, "PNG", icc_profile=grey_profile(1.8))).pixels
    assert np.abs(pixels - expected[..., None]).max() <= 1.5
    assert np.abs(levels - expected).max() > 10, "the profile matters"


@pytest.mark.parametrize("profile", [b"", b"junk", srgb_profile()[:200], b"\0" * 4000, grey_profile(1.8)])
def test_profile_that_is_broken_or_for_other_images_is_left_aside(profile: bytes) -> None:
    picture = smooth(40, 50)
    np.testing.assert_array_equal(decode(packed(picture, "PNG", icc_profile=profile)).pixels, picture)


def test_profile_and_alpha_together() -> None:
    picture = smooth(30, 40)
    with Image.open(DATA / "rocket.jpg") as opened:
        profile = opened.info["icc_profile"]
    rgba = np.dstack([picture, np.full((30, 40), 255, dtype=np.uint8)])
    rgba[:10, :, 3] = 0
    pixels = decode(packed(rgba, "PNG", icc_profile=profile)).pixels
    assert (pixels[:10] == 128).all()
    assert np.abs(pixels[10:] - adobe_to_srgb(picture[10:])).mean() < 0.5


def test_transform_is_the_same_from_bytes_that_are_equal() -> None:
    with Image.open(DATA / "rocket.jpg") as opened:
        profile = opened.info["icc_profile"]
    data = packed(smooth(64, 64), "PNG", icc_profile=profile)
    np.testing.assert_array_equal(decode(data).pixels, decode(io.BytesIO(data).read()).pixels)


# EXIF orientation against Pillow's own transposition.


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
