"""Files made to break a reader: each is an image or an `ImageError`, nothing else, within bounds of memory."""

from __future__ import annotations

import io
import logging
import os
import struct
import sys
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pillow_heif import from_pillow

from d2f.images.read import Bounds, ImageError, Unread, decode, load_image, read_image
from tests.unit.images.pictures import packed, smooth, written

CODES = {"D2F302", "D2F303", "D2F304", "D2F306"}


def harmless(data: bytes) -> str:
    """Decode; return the error's code, or nothing."""
    try:
        image = decode(data)
    except ImageError as error:
        refused = error
    else:
        assert image.pixels.dtype == np.uint8
        assert image.pixels.shape == (image.height, image.width, 3)
        return ""
    failure = refused.unread.failure
    assert failure.code in CODES
    assert "\n" not in failure.message
    return failure.code


def small(name: str) -> bytes:
    picture = smooth(24, 24)
    if name == "HEIF":
        pillow_heif = pytest.importorskip("pillow_heif")
        buffer = io.BytesIO()
        pillow_heif.from_pillow(Image.fromarray(picture)).save(buffer, quality=50)
        return buffer.getvalue()
    exif = Image.Exif()
    exif[0x0112] = 6
    return packed(picture, name) if name in ("GIF", "BMP") else packed(picture, name, exif=exif)


FORMATS = ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF", "HEIF"]


@pytest.mark.parametrize("name", FORMATS)
def test_cut_off_at_every_few_bytes(name: str) -> None:
    data = small(name)
    step = max(1, len(data) // 200)
    codes = [harmless(data[:end]) for end in range(0, len(data), step)]
    assert codes[0] == "D2F302"
    assert harmless(data) == ""
    assert sum(code != "" for code in codes) > len(codes) // 2


@pytest.mark.parametrize("name", ["JPEG", "PNG"])
def test_truncated_is_never_taken_for_whole(name: str) -> None:
    data = small(name)
    # Checksums of the last chunk and the mark of the file's end hold no pixels.
    ends = {"JPEG": 2, "PNG": 4 + 4 + 12}[name]
    assert all(harmless(data[:end]) for end in range(len(data) - ends - 1))


@pytest.mark.parametrize("name", FORMATS)
def test_bytes_overwritten(name: str) -> None:
    data = small(name)
    rng = np.random.default_rng(7)
    for _ in range(150):
        damaged = bytearray(data)
        for at in rng.integers(0, len(data), rng.integers(1, 6)):
            damaged[at] = rng.integers(0, 256)
        harmless(bytes(damaged))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"MM\0*", b"MM\0+"]), st.binary())
def test_magic_and_then_anything(magic: bytes, rest: bytes) -> None:
    assert harmless(magic + rest) != ""


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_anything_in_a_riff_or_a_box(rest: bytes) -> None:
    harmless(b"RIFF" + len(rest).to_bytes(4, "little") + b"WEBPVP8 " + rest)
    harmless(b"\0\0\0\x18ftypavif\0\0\0\0mif1avif" + rest)
    harmless(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + rest)
    harmless(b"BM" + bytes(12) + b"\x28\0\0\0" + rest)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_text_chunks_that_unpack_to_much_more() -> None:
    bomb = zlib.compress(b"a" * 2**26, 9)
    data = packed(smooth(8, 8), "PNG")
    for kind, body in ((b"zTXt", b"k\0\0" + bomb), (b"iTXt", b"k\0\1\0\0\0" + bomb), (b"iCCP", b"k\0\0" + bomb)):
        harmless(data[:33] + chunk(kind, body) + data[33:])
        harmless(data[:-12] + chunk(kind, body) * 3 + data[-12:])


def tiffs() -> Iterator[bytes]:
    """TIFF directories with senseless types, counts, offsets and loops."""
    base = [(256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 200)]
    base += [(277, 3, 1, 1), (278, 3, 1, 8), (279, 4, 1, 64)]
    strange = [(270, 2, 2**32 - 1, 8), (700, 7, 2**31, 2**31), (34675, 7, 100, 0), (273, 4, 2**30, 8)]
    strange += [(322, 4, 1, 2**31), (259, 3, 1, 7), (258, 3, 2**16, 8), (339, 3, 1, 3), (277, 3, 1, 60000)]
    strange += [(256, 4, 1, 0), (320, 3, 768, 8)]
    for one in strange:
        fields = sorted([field for field in base if field[0] != one[0]] + [one])
        out = b"II*\0" + struct.pack("<IH", 8, len(fields))
        out += b"".join(struct.pack("<HHII", *field) for field in fields)
        yield out + struct.pack("<I", 8) + bytes(400)


@pytest.mark.parametrize("data", list(tiffs()))
def test_absurd_tiffs(data: bytes) -> None:
    harmless(data)


def test_pillows_log_is_not_written_to_the_screen() -> None:
    assert logging.getLogger("PIL").hasHandlers()


def test_camera_raw_is_not_scored_by_its_thumbnail() -> None:
    data = packed(smooth(16, 16), "TIFF", tiffinfo={254: 1})
    with pytest.raises(ImageError, match="reduced copy"):
        decode(data)


@pytest.mark.parametrize("raised", [MemoryError(), RecursionError("deep"), struct.error("short"), SyntaxError("x\ny")])
def test_whatever_a_decoder_raises(raised: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise raised

    data = packed(smooth(8, 8), "PNG")
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fail)
    assert harmless(data) == "D2F304"
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.__init__", fail)
    assert harmless(data) == "D2F304"


@pytest.mark.parametrize("how", [{}, {"progressive": True}, {"subsampling": "4:4:4"}, {"optimize": True}], ids=str)
@pytest.mark.parametrize("fill", [0x00, 0x11, 0xAA])
def test_holes_in_a_jpeg_are_damage_and_padding_is_none(tmp_path: Path, how: dict[str, Any], fill: int) -> None:
    rows, columns = np.mgrid[0:300, 0:400].astype(float)
    waves = np.stack([90 + 60 * np.sin(columns / 40), 110 + 50 * np.cos(rows / 33), 100 + columns / 10], -1)
    noise = np.random.default_rng(2).normal(0, 6, waves.shape)
    path = tmp_path / "x.jpg"
    for pixels in (waves + noise, 127 + 20 * noise):
        stream = io.BytesIO()
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=90, **how)
        data = stream.getvalue()
        for share in (0.25, 0.5, 0.9):
            whole = int(len(data) * share)
            path.write_bytes(data[:whole] + bytes([fill]) * (len(data) - whole - 2) + b"\xff\xd9")
            image = load_image(str(path))
            assert isinstance(image, Unread)
            assert image.failure.code == "D2F304"
        for padding in (4, 60, 5000):
            path.write_bytes(data[:-2] + bytes([fill]) * padding + b"\xff\xd9")
            image = load_image(str(path))
            assert not isinstance(image, Unread)
            assert {note.code for note in image.notes} <= {"damaged-file"}


@pytest.mark.parametrize("name", ["AVIF", "HEIF"])
def test_zeros_in_coded_data_are_said_and_those_in_exif_are_not(name: str) -> None:
    noise = np.random.default_rng(2).normal(127, 30, (256, 256, 3))
    image = Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8))
    exif = Image.Exif()
    exif[0x010E] = "a" + "\0" * 500 + "b"
    stream = io.BytesIO()
    if name == "HEIF":
        from_pillow(image).save(stream, quality=80, exif=exif.tobytes())
    else:
        image.save(stream, name, quality=80, exif=exif)
    data = stream.getvalue()
    assert "damaged-file" not in {note.code for note in decode(data).notes}
    at = data.index(b"mdat") + 2 * (len(data) - data.index(b"mdat")) // 3
    holed = decode(data[:at] + bytes(512) + data[at + 512 :])
    assert "512 zero bytes in a row" in next(note.message for note in holed.notes if note.code == "damaged-file")


def test_a_uniform_first_page_of_the_same_size_is_passed_over() -> None:
    picture = Image.fromarray(np.random.default_rng(2).integers(0, 256, (120, 160, 3), dtype=np.uint8))
    stream = io.BytesIO()
    Image.new("RGB", picture.size).save(stream, "TIFF", save_all=True, append_images=[picture, picture])
    image = decode(stream.getvalue())
    assert image.pixels.tolist() == np.asarray(picture).tolist()
    assert "the file holds 3 pages; number 2 was judged" in [note.message for note in image.notes]


# What is refused, and that it is refused before memory is spent on it.


def code_of(path: str, bounds: Bounds | None = None) -> str:
    found = load_image(path, bounds)
    assert isinstance(found, Unread)
    return found.failure.code


def png_header(width: int, height: int) -> bytes:
    """A PNG that states a size and holds next to nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def test_what_is_no_file(tmp_path: Path) -> None:
    assert code_of(str(tmp_path / "missing.jpg")) == "D2F301"
    assert code_of(str(tmp_path)) == "D2F301"
    assert code_of("a\0b.jpg") == "D2F301"


def test_pipes_and_devices_are_not_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    assert code_of(str(pipe)) == "D2F301"
    assert code_of("/dev/zero") == "D2F301"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_without_permission(tmp_path: Path) -> None:
    path = written(tmp_path, "locked.png", packed(smooth(8, 8), "PNG"))
    os.chmod(path, 0)
    assert code_of(path) == "D2F301"


def test_empty_file(tmp_path: Path) -> None:
    assert code_of(written(tmp_path, "empty.jpg", b"")) == "D2F302"
    with pytest.raises(ImageError, match="D2F302"):
        decode(b"")


@pytest.mark.parametrize(
    "data",
    [
        b"plain text",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"%PDF-1.4\n",
        b"BMW is a maker of cars",
        b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom",
        b"\0\0\x01\0\x01\0",
        b"#!/bin/sh\n",
    ],
)
def test_other_formats_are_never_opened(data: bytes, tmp_path: Path) -> None:
    assert code_of(written(tmp_path, "image.jpg", data)) == "D2F303"


def test_bytes_are_bounded(tmp_path: Path) -> None:
    data = packed(smooth(64, 64), "PNG")
    path = written(tmp_path, "a.png", data)
    assert code_of(path, Bounds(bytes=len(data) - 1)) == "D2F305"
    assert read_image(path, Bounds(bytes=len(data))).width == 64
    with pytest.raises(ImageError, match=r"D2F305.*--max-bytes of d2f chain run, --limit file_bytes=N of d2f serve"):
        decode(data, bounds=Bounds(bytes=10))


def test_pixels_are_bounded_and_both_sizes_named(tmp_path: Path) -> None:
    path = written(tmp_path, "a.png", packed(smooth(64, 32), "PNG"))
    found = load_image(path, Bounds(pixels=2047))
    assert isinstance(found, Unread)
    assert found.failure.code == "D2F306"
    assert "32x64" in found.failure.message
    assert "2047" in found.failure.message
    assert (found.width, found.height, found.format) == (32, 64, "PNG")
    assert read_image(path, Bounds(pixels=2048)).height == 64


@pytest.mark.parametrize("size", [(60_000, 60_000), (2**31 - 1, 2**31 - 1), (1, 2**31 - 1)])
def test_header_that_lies_costs_no_memory(size: tuple[int, int], tmp_path: Path) -> None:
    path = written(tmp_path, "huge.png", png_header(*size))
    code_of(path)  # imports the decoder
    tracemalloc.start()
    try:
        assert code_of(path) in ("D2F304", "D2F306")
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_header_that_promises_more_than_there_is() -> None:
    with pytest.raises(ImageError, match="D2F304"):
        decode(png_header(500, 500))


@pytest.mark.parametrize("bounds", [{"bytes": 0}, {"pixels": -1}])
def test_bounds_are_checked(bounds: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Bounds(**bounds)


def test_format_whose_decoder_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match="HEIF cannot be decoded here") as caught:
        decode(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    assert caught.value.unread.failure.code == "D2F303"


def test_a_jpeg_beyond_the_bound_is_not_decoded_to_look_for_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, "JPEG")
    monkeypatch.setattr("d2f.images.read.jpeg_warning", lambda data: pytest.fail("it was decoded"))
    with pytest.raises(ImageError, match="D2F306"):
        decode(file.getvalue(), bounds=Bounds(pixels=64))
