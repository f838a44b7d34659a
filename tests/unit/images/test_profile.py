"""ICC profiles against the definitions of the colour spaces they describe."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import skimage
from numpy.typing import NDArray
from PIL import Image, ImageCms

from d2f.images.read import decode, read_image
from tests.unit.images.pictures import packed, smooth

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
