"""Invisible marks: written here by the published method, read by correlation, not found in photographs."""

from __future__ import annotations

import io
import os
from math import isclose, log
from pathlib import Path

import numpy as np
import pytest
from d2f_provenance.marks import CODES, MOST, correlations, mark_evidence
from numpy.typing import NDArray
from PIL import Image

from tests.plugins.pictures import PHOTOGRAPHS, flat_picture, noise_picture, photograph


def marked(pixels: NDArray[np.uint8], bits: tuple[int, ...]) -> NDArray[np.uint8]:
    """Embed bits as generators do, in float: each block's largest value moves to the middle of its half step."""
    height, width = pixels.shape[0] // 8 * 8, pixels.shape[1] // 8 * 8
    rgb = pixels.astype(np.float64)
    luma = rgb @ np.array([0.299, 0.587, 0.114])
    chroma = (rgb[..., 2] - luma) * 0.492 + 0.5
    low = chroma[:height, :width].reshape(height // 2, 2, width // 2, 2).sum((1, 3)) / 2
    move = np.zeros_like(low)
    for block in range(height // 8 * (width // 8)):
        top, left = 4 * (block // (width // 8)), 4 * (block % (width // 8))
        values = low[top : top + 4, left : left + 4].ravel()
        place = 1 + int(np.abs(values[1:]).argmax())
        size = abs(values[place])
        wanted = (size // 36 + 0.25 + 0.5 * bits[block % len(bits)]) * 36
        move[top + place // 4, left + place % 4] = np.sign(values[place]) * (wanted - size)
    change = np.zeros(pixels.shape[:2])
    change[:height, :width] = np.repeat(np.repeat(move / 2, 2, 0), 2, 1)
    rgb[..., 2] += 2.032 * change
    rgb[..., 1] -= 0.395 * change
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)


def resaved(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=0)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("at", range(len(CODES)))
def test_a_mark_is_read_again_and_named(at: int) -> None:
    pixels = marked(photograph("astronaut"), CODES[at].bits)
    assert int(np.argmax(correlations(pixels))) == at
    found = list(mark_evidence(pixels))
    assert [item.kind for item in found] == ["invisible-mark"]
    assert CODES[at].maker in found[0].statement
    assert isclose(found[0].llr, log(300))


def test_a_mark_survives_a_fine_jpeg_and_not_a_crop_or_resize() -> None:
    pixels = marked(photograph("astronaut"), CODES[0].bits)
    assert list(mark_evidence(resaved(pixels, 95)))
    assert not list(mark_evidence(pixels[3:, 5:]))
    half = np.asarray(Image.fromarray(pixels).resize((300, 300), Image.Resampling.BICUBIC))
    assert not list(mark_evidence(half))


def test_lengths_of_the_codes() -> None:
    assert [len(code.bits) for code in CODES] == [48, 46, 136, 32, 64]


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photographs_carry_none(name: str) -> None:
    assert list(mark_evidence(photograph(name))) == []


def test_pictures_without_a_mark_of_any_size() -> None:
    assert list(mark_evidence(None)) == []
    for pixels in (
        flat_picture(300, 300),
        noise_picture(300, 300),
        noise_picture(4, 40_000),
        noise_picture(1, 70_000),
        noise_picture(255, 256),
    ):
        assert list(mark_evidence(pixels)) == []
    assert correlations(noise_picture(255, 256)) == [0.0] * 5


def test_large_pictures_are_read_from_the_top() -> None:
    tile = marked(photograph("astronaut")[:192, :384], CODES[0].bits)
    wide = np.tile(tile, (1, 6, 1))  # 288 blocks in a row, a multiple of 48: the tiles' bits stay in step
    tall = np.concatenate([np.tile(wide, (10, 1, 1)), noise_picture(2000, wide.shape[1])])
    assert tall.shape[0] * tall.shape[1] > MOST
    assert correlations(tall)[0] > 0.7


@pytest.mark.skipif("D2F_DATA" not in os.environ, reason="D2F_DATA is not set")
def test_no_false_alarm_on_photographs_of_train() -> None:
    from d2f.images.read import read_image

    paths = sorted(path for path in Path(os.environ["D2F_DATA"], "train", "real").rglob("*") if path.is_file())[::12]
    highest = [0.0] * len(CODES)
    for path in paths:
        highest = [max(pair) for pair in zip(highest, correlations(read_image(str(path)).pixels), strict=True)]
    assert all(r < code.threshold for r, code in zip(highest, CODES, strict=True)), highest
