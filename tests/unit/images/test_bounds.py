"""What is refused, and that it is refused before memory is spent on it."""

from __future__ import annotations

import io
import os
import struct
import sys
import tracemalloc
import zlib
from pathlib import Path

import pytest
from PIL import Image

from d2f.images.read import Bounds, ImageError, Unread, decode, load_image, read_image
from tests.unit.images.pictures import packed, smooth, written


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
