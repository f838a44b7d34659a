"""The matched protocol: both classes brought alike, so that format, size and quality cannot tell the label.

`judging` is for measuring: the centre, one quality. `fitting` is for fitting chains and training weights: a seeded
window, scale and quality. Both decode, crop and encode to JPEG with 4:2:0 chroma; an image smaller than the
window keeps its whole extent, whatever its label. What detectors are given is the matched file: `pixels` are decoded
from it, `data` is it, and the metadata is gone. `path` and `sha256` stay those of the file as it was found: the seed
of random stages, the check against training images and any cache go by the picture, not by its copy.
"""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from PIL import Image

from d2f.api.inputs import ImageFile, Pixels

WINDOW = 320
"""Side of the judging window, in pixels."""

JUDGING_QUALITY = 92
FITTING_QUALITIES = (70, 98)
"""Qualities that fitting draws from, uniformly, both included."""

FITTING_WINDOWS = (224, 320)
"""Sides of the window that fitting draws from, uniformly, both included."""

CHROMA_420 = 2
"""Pillow's number for 4:2:0 subsampling."""


def judging(image: ImageFile) -> ImageFile:
    """Return the centre `WINDOW` of an image, encoded at `JUDGING_QUALITY`.

    The window's corner is rounded down, to (width - side) // 2 and (height - side) // 2.
    """
    pixels = image.pixels
    height, width = _sides(pixels, WINDOW)
    top, left = (image.height - height) // 2, (image.width - width) // 2
    return _encoded(image, pixels[top : top + height, left : left + width], JUDGING_QUALITY)


def fitting(
    image: ImageFile,
    seed: int,
    windows: tuple[int, int] = FITTING_WINDOWS,
    qualities: tuple[int, int] = FITTING_QUALITIES,
    scale: bool = True,
) -> ImageFile:
    """Return a random window of an image, scaled at random and encoded at a random quality.

    Every draw comes from `seed` and the file's bytes and is blind to the label. With `scale`, every other image
    whose shorter side exceeds the window is first reduced by a factor drawn log-uniformly between 1 and
    window / shorter side (bicubic): a camera's pixels are smoother than a generator's at the same crop, and this
    brings photographs to generators' scales.
    """
    random = np.random.default_rng((seed, image.seed))
    window = int(random.integers(windows[0], windows[1], endpoint=True))
    pixels = _scaled(image.pixels, window, random) if scale else image.pixels
    height, width = _sides(pixels, window)
    top = int(random.integers(0, pixels.shape[0] - height, endpoint=True))
    left = int(random.integers(0, pixels.shape[1] - width, endpoint=True))
    quality = int(random.integers(qualities[0], qualities[1], endpoint=True))
    return _encoded(image, pixels[top : top + height, left : left + width], quality)


def _sides(pixels: Pixels, window: int) -> tuple[int, int]:
    return min(window, pixels.shape[0]), min(window, pixels.shape[1])


def _scaled(pixels: Pixels, window: int, random: np.random.Generator) -> Pixels:
    shorter = min(pixels.shape[:2])
    taken, place = random.random() < 0.5, random.random()
    if shorter <= window or not taken:
        return pixels
    factor = (window / shorter) ** place
    height, width = (max(window, round(side * factor)) for side in pixels.shape[:2])
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


def _encoded(image: ImageFile, pixels: Pixels, quality: int) -> ImageFile:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "JPEG", quality=quality, subsampling=CHROMA_420)
    decoded = np.array(Image.open(buffer).convert("RGB"))
    return replace(
        image,
        data=buffer.getvalue(),
        format="JPEG",
        width=decoded.shape[1],
        height=decoded.shape[0],
        pixels=decoded,
        info={},
    )
