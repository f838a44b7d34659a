"""The stages JPEG and WebP held to what the encoders write."""

from __future__ import annotations

import io

import d2f_webp
import numpy as np
import pytest
from d2f_jpeg import LONGEST, encode, recompress
from PIL import Image

from tests.plugins.pictures import SIZES, flat_picture, noise_picture, photograph, stage

# JPEG held to the standard's own tables, read out of the file that the encoder wrote.

# ITU-T T.81, annex K, tables K.1 (luminance) and K.2 (chrominance), row by row.
LUMINANCE = [
    *(16, 11, 10, 16, 24, 40, 51, 61),
    *(12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77),
    *(24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101),
    *(72, 92, 95, 98, 112, 100, 103, 99),
]
CHROMINANCE = [
    *(17, 18, 24, 47, 99, 99, 99, 99),
    *(18, 21, 26, 66, 99, 99, 99, 99),
    *(24, 26, 56, 99, 99, 99, 99, 99),
    *(47, 66, 99, 99, 99, 99, 99, 99),
    *([99] * 32),
]


def segments(data: bytes) -> list[tuple[int, bytes]]:
    """Return marker and payload of each segment up to the scan (T.81, annex B)."""
    found, at = [], 2
    while data[at + 1] != 0xDA:
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        found.append((data[at + 1], data[at + 4 : at + 2 + length]))
        at += 2 + length
    return found


def zigzag() -> list[int]:
    """Return row * 8 + column in the order in which coefficients are written (T.81, figure A.6)."""
    members = [(row, column) for row in range(8) for column in range(8)]
    members.sort(key=lambda at: (sum(at), at[0] if sum(at) % 2 else at[1]))
    return [row * 8 + column for row, column in members]


def tables(data: bytes) -> list[list[int]]:
    """Return the quantisation tables that a file holds, row by row."""
    found = []
    for marker, payload in segments(data):
        while marker == 0xDB and payload:
            assert payload[0] >> 4 == 0  # 8-bit entries
            table = [0] * 64
            for place, value in zip(zigzag(), payload[1:65], strict=True):
                table[place] = value
            found.append(table)
            payload = payload[65:]
    return found


@pytest.mark.parametrize("quality", [1, 10, 49, 50, 51, 75, 90, 95, 100])
def test_the_tables_are_the_standards_scaled(quality: int) -> None:
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    expected = [[min(255, max(1, (k * scale + 50) // 100)) for k in table] for table in (LUMINANCE, CHROMINANCE)]
    assert tables(encode(noise_picture(16, 16), quality)) == expected


@pytest.mark.parametrize(("subsampling", "luma"), [("4:4:4", 0x11), ("4:2:2", 0x21), ("4:2:0", 0x22)])
def test_the_frame_is_baseline_and_subsampled_as_asked(subsampling: str, luma: int) -> None:
    frames = [payload for marker, payload in segments(encode(noise_picture(20, 30), 80, subsampling)) if marker == 0xC0]
    assert len(frames) == 1
    precision, height, width, components = frames[0][0], frames[0][1:3], frames[0][3:5], frames[0][5]
    assert (precision, int.from_bytes(height, "big"), int.from_bytes(width, "big"), components) == (8, 20, 30, 3)
    assert [frames[0][7 + 3 * k] for k in range(3)] == [luma, 0x11, 0x11]


def test_the_file_holds_no_metadata() -> None:
    markers = [marker for marker, _ in segments(encode(noise_picture(16, 16), 80))]
    assert 0xE0 in markers  # JFIF's own
    assert not [marker for marker in markers if 0xE1 <= marker <= 0xEF or marker == 0xFE]


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_it_is_what_a_file_would_have_held(subsampling: str, tmp_path: object) -> None:
    picture = photograph()[:101, :77]
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=70, subsampling=subsampling)
    with Image.open(stream) as decoded:
        expected = np.asarray(decoded)
    assert np.array_equal(stage("jpeg", quality=70, subsampling=subsampling).apply(picture, 0), expected)


def test_the_error_falls_with_quality() -> None:
    picture = photograph("chelsea")
    errors = [np.square(recompress(picture, q).astype(float) - picture).mean() for q in (10, 40, 70, 90, 100)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 10 < errors[0]


@pytest.mark.parametrize("quality", [1, 50, 100])
def test_flat_grey_keeps_its_level_within_the_step_of_the_mean(quality: int) -> None:
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    step = min(255, max(1, (16 * scale + 50) // 100))
    for level in (0, 77, 128, 255):
        off = np.abs(recompress(flat_picture(24, 24, level), quality).astype(int) - level).max()
        assert off <= step / 16 + 1  # the mean's coefficient is 8 times the level


def test_a_side_that_no_jpeg_holds() -> None:
    wide = np.zeros((1, LONGEST + 1, 3), np.uint8)
    with pytest.raises(ValueError, match="at most 65500 pixels a side, not 65501"):
        encode(wide, 80)
    assert recompress(wide[:, 1:], 80).shape == (1, LONGEST, 3)


# WebP held to the container that it writes, and to what lossless means.


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("method", [0, 6])
def test_lossless_keeps_every_pixel(size: tuple[int, int], method: int) -> None:
    picture = noise_picture(*size)
    assert np.array_equal(stage("webp", lossless=True, method=method).apply(picture, 0), picture)


@pytest.mark.parametrize("quality", [0, 80, 100])
def test_it_is_what_a_webp_file_would_have_held(quality: int) -> None:
    picture = photograph()[:101, :77]
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "WEBP", quality=quality)
    assert stream.getvalue()[8:16] == b"WEBPVP8 "  # RFC 9649, section 2.5: simple, lossy
    with Image.open(stream) as decoded:
        expected = np.asarray(decoded.convert("RGB"))
    assert np.array_equal(stage("webp", quality=quality).apply(picture, 0), expected)


def test_the_error_of_webp_falls_with_quality() -> None:
    picture = photograph("chelsea")
    errors = [np.square(d2f_webp.recompress(picture, q).astype(float) - picture).mean() for q in (5, 40, 80, 100)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 20 < errors[0]


def test_a_side_that_no_webp_holds() -> None:
    with pytest.raises(ValueError, match="at most 16383 pixels a side, not 16384"):
        d2f_webp.recompress(np.zeros((d2f_webp.LONGEST + 1, 1, 3), np.uint8))
