"""Formats decoded against Pillow's own reading of them, and the facts that go with the pixels."""

from __future__ import annotations

import hashlib
import io
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image, ImageFile, ImageOps

from d2f.images.read import Bounds, ImageError, Unread, decode, load_image, read_image
from tests.unit.images.pictures import packed, smooth, written

PHOTOGRAPHS = Path(skimage.__file__).parent / "data"


@pytest.mark.parametrize(
    ("name", "options", "most"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("TIFF", {"compression": "tiff_adobe_deflate", "tile_size": None}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("JPEG", {"quality": 95}, 4),
        ("JPEG", {"quality": 95, "progressive": True}, 4),
        ("WEBP", {"quality": 95}, 6),
        ("AVIF", {"quality": 95}, 6),
    ],
)
def test_formats_give_back_the_picture(name: str, options: dict[str, object], most: int) -> None:
    picture = smooth(70, 110)
    options = {key: value for key, value in options.items() if value is not None}
    data = packed(picture, name, **options)
    image = decode(data, "some path")
    assert (image.format, image.width, image.height) == (name, 110, 70)
    assert image.path == "some path"
    assert image.data == data
    assert image.sha256 == hashlib.sha256(data).hexdigest()
    assert image.pixels.dtype == np.uint8
    assert np.abs(image.pixels.astype(int) - picture).max() <= most


def test_heif_is_read_without_registering_anything() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    picture = smooth(64, 96)
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(picture)).save(buffer, quality=95)
    before = dict(Image.OPEN)
    image = decode(buffer.getvalue())
    assert image.format == "HEIF"
    assert np.abs(image.pixels.astype(int) - picture).max() <= 10
    assert dict(Image.OPEN) == before


def test_first_frame_of_an_animation_is_taken() -> None:
    frames = [Image.fromarray(np.full((20, 30, 3), level, dtype=np.uint8)) for level in (40, 200)]
    for name, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})):
        data = packed(frames[0], name, save_all=True, append_images=frames[1:], **options)
        assert (decode(data).pixels == 40).all(), name


def test_multi_picture_jpeg_is_a_jpeg() -> None:
    frames = [Image.fromarray(smooth(40, 40, seed)) for seed in (0, 1)]
    image = decode(packed(frames[0], "MPO", save_all=True, append_images=frames[1:]))
    assert image.format == "JPEG"
    assert np.abs(image.pixels.astype(int) - smooth(40, 40, 0)).mean() < 3


def test_wrong_suffix_does_not_matter(tmp_path: Path) -> None:
    path = written(tmp_path, "photograph.jpg", packed(smooth(20, 20), "PNG"))
    assert read_image(path).format == "PNG"


def test_pixels_cannot_be_written_to() -> None:
    image = decode(packed(smooth(20, 20), "PNG"))
    with pytest.raises(ValueError, match="read-only"):
        image.pixels[0, 0, 0] = 1


def test_info_holds_text_that_follows_the_pixels() -> None:
    data = packed(smooth(8, 8), "PNG")
    text = b"parameters\0a cat, steps: 20"
    chunk = len(text).to_bytes(4, "big") + b"tEXt" + text
    chunk += zlib.crc32(b"tEXt" + text).to_bytes(4, "big")
    image = decode(data[:-12] + chunk + data[-12:])
    assert image.info["parameters"] == "a cat, steps: 20"


@pytest.mark.parametrize("name", ["astronaut.png", "camera.png", "chelsea.png", "logo.png", "retina.jpg"])
def test_real_pictures_equal_pillows_reading(name: str) -> None:
    path = PHOTOGRAPHS / name
    with Image.open(path) as opened:
        upright = ImageOps.exif_transpose(opened)
        if upright.has_transparency_data:
            rgba = np.asarray(upright.convert("RGBA")).astype(float)
            share = rgba[..., 3:] / 255
            expected = np.floor(rgba[..., :3] * share + 128 * (1 - share) + 0.5)
        else:
            expected = np.asarray(upright.convert("RGB")).astype(float)
    assert np.abs(read_image(str(path)).pixels - expected).max() <= 1


def test_load_image_returns_what_is_known(tmp_path: Path) -> None:
    good = written(tmp_path, "good.png", packed(smooth(30, 20), "PNG"))
    data = packed(smooth(64, 64), "JPEG")[:-60]
    bad = written(tmp_path, "bad.jpg", data)
    assert load_image(good).sha256 == read_image(good).sha256
    found = load_image(bad)
    assert isinstance(found, Unread)
    assert found.failure.code == "D2F304"
    assert found.failure.message.startswith("JPEG is damaged or truncated: image file is truncated")
    assert (found.format, found.width, found.height) == ("JPEG", 64, 64)
    assert found.sha256 == hashlib.sha256(data).hexdigest()
    with pytest.raises(ImageError, match=r"bad\.jpg") as caught:
        read_image(bad)
    assert caught.value.unread == found
    assert caught.value.exit == 1


def test_reserve_is_told_before_memory_is_taken(tmp_path: Path) -> None:
    data = packed(smooth(30, 20), "PNG")
    asked: list[int] = []
    load_image(written(tmp_path, "a.png", data), reserve=asked.append)
    assert asked == [len(data), 30 * 20 * 3]


def test_nothing_of_pillows_state_changes() -> None:
    limit = Image.MAX_IMAGE_PIXELS
    decode(packed(smooth(20, 20), "PNG"))
    with pytest.raises(ImageError):
        decode(packed(smooth(64, 64), "JPEG")[:-60])
    assert limit == Image.MAX_IMAGE_PIXELS
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_pillows_own_limit_does_not_hold_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert decode(packed(smooth(40, 40), "PNG")).pixels.shape == (40, 40, 3)


def test_many_threads_read_alike() -> None:
    data = [packed(smooth(90, 120, seed), name) for seed in range(4) for name in ("JPEG", "PNG", "TIFF", "WEBP")]
    alone = [decode(one).pixels for one in data]
    differing: list[int] = []

    def work() -> None:
        for _ in range(5):
            differing.extend(i for i, one in enumerate(data) if not np.array_equal(decode(one).pixels, alone[i]))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not differing


@pytest.mark.slow
def test_photograph_of_100_megapixels_is_within_the_default_bounds() -> None:
    tile = smooth(1024, 1024)
    picture = np.tile(tile, (9, 12, 1))[:8742, :11656]
    image = decode(packed(picture, "JPEG", quality=90))
    assert image.pixels.shape == (8742, 11656, 3)
    assert Bounds().bytes > 2 * 3 * 8742 * 11656, "as a TIFF of 16 bits it would pass, too"
