"""More than 8 bits a sample, against rounding by whole numbers."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from d2f.images.colour import from_16_bits, grey_16_bits
from d2f.images.read import decode
from tests.unit.images.pictures import packed


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
