"""The WebP stage held to the container that it writes, and to what lossless means."""

from __future__ import annotations

import io

import numpy as np
import pytest
from d2f_webp import LONGEST, recompress
from PIL import Image

from tests.plugins.pictures import SIZES, noise_picture, photograph, stage


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("method", [0, 6])
def test_lossless_keeps_every_pixel(size: tuple[int, int], method: int) -> None:
    picture = noise_picture(*size)
    assert np.array_equal(stage("webp", lossless=True, method=method).apply(picture, 0), picture)


@pytest.mark.parametrize("quality", [0, 80, 100])
def test_it_is_what_a_file_would_have_held(quality: int) -> None:
    picture = photograph()[:101, :77]
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "WEBP", quality=quality)
    assert stream.getvalue()[8:16] == b"WEBPVP8 "  # RFC 9649, section 2.5: simple, lossy
    with Image.open(stream) as decoded:
        expected = np.asarray(decoded.convert("RGB"))
    assert np.array_equal(stage("webp", quality=quality).apply(picture, 0), expected)


def test_the_error_falls_with_quality() -> None:
    picture = photograph("chelsea")
    errors = [np.square(recompress(picture, q).astype(float) - picture).mean() for q in (5, 40, 80, 100)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 20 < errors[0]


def test_a_side_that_no_webp_holds() -> None:
    with pytest.raises(ValueError, match="at most 16383 pixels a side, not 16384"):
        recompress(np.zeros((LONGEST + 1, 1, 3), np.uint8))
