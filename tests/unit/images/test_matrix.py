"""Containers, depths, colour types and compressions that Pillow, pillow-heif, tifffile and imagecodecs can write.

Lossless kinds are held to the array that was written, lossy ones to the same file decoded by another decoder.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from d2f.images.read import ImageError, decode

imagecodecs = pytest.importorskip("imagecodecs")
tifffile = pytest.importorskip("tifffile")

HEIGHT, WIDTH = 70, 90
Array = NDArray[Any]


def picture() -> Array:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    noise = np.random.default_rng(7).normal(0, 5, (HEIGHT, WIDTH, 3))
    planes = [40 + 2 * x, 220 - 2.5 * y, 128 + 60 * np.sin((x + y) / 9)]
    return np.clip(np.stack(planes, axis=-1) + noise, 0, 255).astype(np.uint8)


RGB = picture()
GREY = RGB[..., 1]
GREY3 = np.dstack([GREY] * 3)
ALPHA = np.where(np.mgrid[0:HEIGHT, 0:WIDTH][1] < WIDTH // 2, 255, 64).astype(np.uint8)


def over_grey(pixels: Array, alpha: Array) -> Array:
    return np.rint((pixels * (alpha[..., None] / 255.0)) + 128 * (1 - alpha[..., None] / 255.0))


def deep(array: Array, dtype: str) -> Array:
    """The picture's values over the whole range of a type, floats in 0..1."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return (array / 255).astype(kind)
    return (array.astype(np.float64) / 255 * np.iinfo(kind).max).round().astype(kind)


def tiff(array: Array, **more: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, **more)
    return file.getvalue()


def tiff_cases() -> Iterator[tuple[str, Callable[[], bytes], Array]]:
    packings = (None, "zlib", "lzw", "packbits", "zstd")
    for dtype, packing, order, tile in product(("u1", "u2", "f4"), packings, "<>", (None, (32, 32))):
        if dtype == "f4" and packing in ("lzw", "zstd"):
            continue
        more: dict[str, Any] = {"compression": packing, "byteorder": order, "tile": tile}
        name = f"{dtype}-{packing}-{order}-{tile}"
        yield f"tiff-rgb-{name}", lambda d=dtype, m=more: tiff(deep(RGB, d), photometric="rgb", **m), RGB
        yield f"tiff-grey-{name}", lambda d=dtype, m=more: tiff(deep(GREY, d), photometric="minisblack", **m), GREY3
        if dtype != "f4" and not (dtype == "u2" and order == ">" and packing in ("lzw", "zstd")):
            yield (
                f"tiff-white0-{name}",
                lambda d=dtype, m=more: tiff(~deep(GREY, d), photometric="miniswhite", **m),
                GREY3,
            )
        if dtype != "f4" or packing in (None, "zlib"):
            planes = np.ascontiguousarray(RGB.transpose(2, 0, 1))
            yield (
                f"tiff-planar-{name}",
                lambda d=dtype, m=more, p=planes: tiff(deep(p, d), photometric="rgb", planarconfig="separate", **m),
                RGB,
            )
    for dtype, order, packing in product(("i2",), "<>", (None, "zlib", "lzw")):
        signed = deep(GREY, "u2").astype(np.int32) - 32768
        spread = np.rint((GREY.astype(float) - GREY.min()) / np.ptp(GREY.astype(int)) * 255)
        yield (
            f"tiff-{dtype}-{order}-{packing}",
            lambda d=dtype, o=order, c=packing, s=signed: tiff(
                s.astype(d), photometric="minisblack", byteorder=o, compression=c
            ),
            np.dstack([spread] * 3),
        )
    for dtype in ("u4", "f2", "f8"):
        yield f"tiff-grey-{dtype}", lambda d=dtype: tiff(deep(GREY, d), photometric="minisblack"), GREY3
    rgba = np.dstack([RGB, ALPHA])
    for dtype in ("u1", "u2"):
        yield (
            f"tiff-rgba-{dtype}",
            lambda d=dtype: tiff(deep(rgba, d), photometric="rgb", extrasamples=["unassalpha"]),
            over_grey(RGB, ALPHA),
        )
    yield "tiff-big", lambda: tiff(RGB, photometric="rgb", bigtiff=True), RGB
    yield "tiff-predictor", lambda: tiff(deep(RGB, "u2"), photometric="rgb", compression="zlib", predictor=True), RGB


def png(colour: int, depth: int, rows: list[bytes], before: tuple[tuple[bytes, bytes], ...] = ()) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [chunk(b"IHDR", head), *(chunk(*one) for one in before), chunk(b"IDAT", data), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def rows(array: Array) -> list[bytes]:
    return [row.tobytes() for row in array]


def linear_light(pixels: Array) -> Array:
    values = pixels / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def png_cases() -> Iterator[tuple[str, Callable[[], bytes], Array]]:
    wide = RGB.astype(">u2") * 257
    grey16 = (GREY.astype(">u2") * 257).astype(">u2")
    clear = int(GREY[3, 3])
    hidden = np.where((clear == GREY)[..., None], 128, GREY3)
    spot = RGB[5, 5]
    hole = np.where((spot == RGB).all(axis=-1)[..., None], 128, RGB)
    linear = np.rint(linear_light(RGB) * 65535).astype(">u2")
    gamma = (b"gAMA", struct.pack(">I", 100_000))
    yield "png-rgb8", lambda: png(2, 8, rows(RGB)), RGB
    yield "png-rgb16", lambda: png(2, 16, rows(wide.astype(">u2"))), RGB
    yield "png-grey8", lambda: png(0, 8, rows(GREY)), GREY3
    yield "png-grey16", lambda: png(0, 16, rows(grey16)), GREY3
    yield "png-rgba8", lambda: png(6, 8, rows(np.dstack([RGB, ALPHA]))), over_grey(RGB, ALPHA)
    rgba16 = (np.dstack([RGB, ALPHA]).astype(np.uint32) * 257).astype(">u2")
    yield "png-rgba16", lambda: png(6, 16, rows(rgba16)), over_grey(RGB, ALPHA)
    yield "png-ga8", lambda: png(4, 8, rows(np.dstack([GREY, ALPHA]))), over_grey(GREY3, ALPHA)
    yield "png-grey8-trns", lambda: png(0, 8, rows(GREY), ((b"tRNS", struct.pack(">H", clear)),)), hidden
    yield "png-grey16-trns", lambda: png(0, 16, rows(grey16), ((b"tRNS", struct.pack(">H", clear * 257)),)), hidden
    trns16 = (b"tRNS", struct.pack(">HHH", *(int(value) * 257 for value in spot)))
    yield "png-rgb16-trns", lambda: png(2, 16, rows(wide.astype(">u2")), (trns16,)), hole
    yield "png-linear16", lambda: png(2, 16, rows(linear), (gamma,)), RGB
    yield "png-cicp-linear16", lambda: png(2, 16, rows(linear), ((b"cICP", bytes([1, 8, 0, 1])),)), RGB
    # An sRGB chunk goes before gAMA.
    yield "png-srgb-chunk", lambda: png(2, 8, rows(RGB), ((b"sRGB", b"\0"), gamma)), RGB
    for bits in (1, 2, 4):
        levels = GREY >> (8 - bits)
        packed = [np.packbits(((row[:, None] >> np.arange(bits)[::-1]) & 1).ravel()).tobytes() for row in levels]
        shown = np.dstack([levels * (255 // (2**bits - 1))] * 3)
        yield f"png-grey{bits}", lambda b=bits, p=packed: png(0, b, p), shown


def pillow_cases() -> Iterator[tuple[str, Callable[[], bytes], Array]]:
    def save(kind: str, mode: str = "RGB", **more: Any) -> Callable[[], bytes]:
        def make() -> bytes:
            file = io.BytesIO()
            Image.fromarray(RGB).convert(mode).save(file, kind, **more)
            return file.getvalue()

        return make

    grey = np.asarray(Image.fromarray(RGB).convert("L").convert("RGB"))
    yield "webp-lossless", save("WEBP", lossless=True), RGB
    yield "bmp-rgb", save("BMP"), RGB
    yield "bmp-grey", save("BMP", "L"), grey
    yield "tiff-cmyk", save("TIFF", "CMYK"), np.asarray(Image.fromarray(RGB).convert("CMYK").convert("RGB"))
    yield "png-la", save("PNG", "LA"), grey
    yield (
        "tiff-group4",
        save("TIFF", "1", compression="group4"),
        np.asarray(Image.fromarray(RGB).convert("1").convert("RGB")),
    )


LOSSLESS = {name: (make, expected) for name, make, expected in (*tiff_cases(), *png_cases(), *pillow_cases())}


@pytest.mark.parametrize("name", LOSSLESS)
def test_a_lossless_kind_gives_the_array_that_was_written(name: str) -> None:
    make, expected = LOSSLESS[name]
    found = decode(make(), name).pixels
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 2


@pytest.mark.parametrize("quality", [60, 95])
@pytest.mark.parametrize("subsampling", ["444", "420"])
def test_jpeg_is_what_another_decoder_makes_of_it(quality: int, subsampling: str) -> None:
    data = imagecodecs.jpeg8_encode(RGB, level=quality, subsampling=subsampling)
    other = imagecodecs.jpeg8_decode(data)
    assert np.abs(decode(data).pixels.astype(int) - other).max() <= 2


@pytest.mark.parametrize("format", ["webp", "avif"])
def test_lossy_kinds_are_near_what_another_decoder_makes_of_them(format: str) -> None:
    encode, read = getattr(imagecodecs, f"{format}_encode"), getattr(imagecodecs, f"{format}_decode")
    data = encode(RGB, level=90)
    assert np.abs(decode(data).pixels.astype(int) - read(data)[..., :3]).mean() <= 1.5


def test_heic_is_near_what_was_written() -> None:
    import pillow_heif

    file = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(RGB)).save(file, quality=100, chroma=444)
    assert np.abs(decode(file.getvalue()).pixels.astype(int) - RGB).mean() <= 2.5


def test_the_page_of_formats_counts_what_is_tried() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/reference/image-formats.md").read_text("utf-8")
    assert f"{len(LOSSLESS)} lossless ones equal to the array" in page
    assert f"{len(REFUSED)} refused by their name" in page


REFUSED = {
    "jpeg-12-bits": lambda: imagecodecs.jpeg_encode(RGB.astype(np.uint16) << 4, level=95, bitspersample=12),
    "jpeg-2000": lambda: imagecodecs.jpeg2k_encode(RGB),
    "jpeg-xl": lambda: imagecodecs.jpegxl_encode(RGB),
    "tiff-white0-16-big-endian-lzw": lambda: tiff(
        ~deep(GREY, "u2"), photometric="miniswhite", byteorder=">", compression="lzw"
    ),
    "tiff-webp": lambda: tiff(RGB, photometric="rgb", compression="webp"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_sound_file_of_a_kind_that_is_not_read_is_not_called_damaged(name: str, capfd: Any) -> None:
    data = REFUSED[name]()
    with pytest.raises(ImageError) as caught:
        decode(data, name)
    assert caught.value.unread.failure.code == "D2F303"
    assert capfd.readouterr() == ("", "")


def pq(light: Array) -> Array:
    """SMPTE ST 2084, light 1 at 10,000 cd/m²."""
    power = light ** (2610 / 16384)
    coded: Array = ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)
    return coded


@pytest.mark.parametrize(("stated", "codes"), [(45_455, []), (50_000, ["colours-converted"])])
def test_a_png_that_states_the_gamma_of_srgb_is_taken_as_srgb(stated: int, codes: list[str]) -> None:
    found = decode(png(2, 8, rows(RGB), ((b"gAMA", struct.pack(">I", stated)),)))
    assert [note.code for note in found.notes] == codes
    assert np.array_equal(found.pixels, RGB) is not bool(codes)


def test_pq_with_wide_primaries_in_avif_comes_out_as_on_an_sdr_screen() -> None:
    to_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
    coded = pq(linear_light(RGB) @ to_2020.T * 203 / 10000)
    data = imagecodecs.avif_encode(
        np.rint(coded * 1023).astype(np.uint16), level=100, bitspersample=10, primaries=9, transfer=16, matrix=9
    )
    found = decode(data)
    assert np.abs(found.pixels.astype(int) - RGB).mean() <= 4
    assert [note.code for note in found.notes] == ["colours-converted"]
