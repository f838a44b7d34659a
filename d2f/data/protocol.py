"""Protocols: both labels standardised before anything is learnt or measured, so that the file tells nothing.

`whole` (the default) keeps the picture and brings its short side to a drawn length; `crop` cuts a fragment out of it:
the centre where detectors are judged (`judging`), a drawn window where they are fitted (`fitting`). Both encode to JPEG
with 4:2:0 chroma. What detectors are given is that file: `pixels` are decoded from it, `data` is it, and the metadata
is gone. `path` and `sha256` stay those of the file as it was found: the seed of random stages, the check against
training images and any cache go by the picture, not by its copy. Every draw is blind to the label.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import numpy as np
from PIL import Image

from d2f.api.inputs import ImageFile, Pixels, ProtocolName

Interval: TypeAlias = tuple[int, int]

SHORT_SIDES = (320, 480)
"""Lengths that `whole` draws the short side from, uniformly, both included, in pixels."""

WHOLE_QUALITIES = (80, 95)
"""JPEG qualities that `whole` draws from, uniformly, both included."""

WINDOW = 320
"""Side of the judging window, in pixels."""

JUDGING_QUALITY = 92
FITTING_QUALITIES = (70, 98)
"""Qualities that fitting draws from, uniformly, both included."""

FITTING_WINDOWS = (224, 320)
"""Sides of the window that fitting draws from, uniformly, both included."""

CHROMA_420 = 2
"""Pillow's number for 4:2:0 subsampling."""


@dataclass(frozen=True)
class Standardise:
    """The steps that both labels go through before anything else; `key` names them in caches, beside stages' `code`."""

    key: str
    apply: Callable[[ImageFile], ImageFile]
    code: tuple[object, ...] = ()

    def __call__(self, image: ImageFile) -> ImageFile:
        """Return the standardised image."""
        return self.apply(image)


def for_judging(protocol: ProtocolName) -> Standardise:
    """Return what a bench or an audit does to each image."""
    steps: dict[ProtocolName, Callable[[ImageFile], ImageFile]] = {
        "whole": whole,
        "crop": judging,
        "as-found": lambda image: image,
    }
    return Standardise(f"{protocol}, judging", steps[protocol])


def for_fitting(protocol: ProtocolName, seed: int) -> Standardise:
    """Return what a fit does to each image; `seed` is at least 0, and another seed draws another copy."""
    if protocol == "as-found":
        return for_judging(protocol)
    steps = partial(whole, seed=seed) if protocol == "whole" else partial(fitting, seed=seed)
    return Standardise(f"{protocol}, fitting, seed {seed}", steps)


def drawn_copies(
    protocol: ProtocolName, image: ImageFile, seeds: Sequence[int], windows: Interval, qualities: Interval, scale: bool
) -> list[Pixels]:
    """Return a copy of an image for each seed; windows, qualities and scale are those of `crop`'s `fitting`."""
    if protocol == "crop":
        return [fitting(image, seed, windows, qualities, scale).pixels for seed in seeds]
    return [for_fitting(protocol, seed)(image).pixels for seed in seeds]


def whole(image: ImageFile, seed: int = 0) -> ImageFile:
    """Return the whole picture, its short side brought to a drawn length and encoded at a drawn quality.

    Both are drawn from `seed` (0 for the copy that is judged) and the file's bytes. The short side, not the long one:
    generated pictures are squarer, so that a common long side would leave them a longer short side, and every later
    resampling to a square would tell the label. A picture whose short side is no longer keeps its size.
    """
    random = np.random.default_rng((seed, image.seed))
    short = int(random.integers(SHORT_SIDES[0], SHORT_SIDES[1], endpoint=True))
    quality = int(random.integers(WHOLE_QUALITIES[0], WHOLE_QUALITIES[1], endpoint=True))
    factor = short / min(image.pixels.shape[:2])
    return _encoded(image, image.pixels if factor >= 1 else _resized(image.pixels, factor, short), quality)


def judging(image: ImageFile) -> ImageFile:
    """Return the centre `WINDOW` of an image, encoded at `JUDGING_QUALITY`; a smaller image keeps its extent.

    The window's corner is rounded down, to (width - side) // 2 and (height - side) // 2.
    """
    pixels = image.pixels
    height, width = _sides(pixels, WINDOW)
    top, left = (image.height - height) // 2, (image.width - width) // 2
    return _encoded(image, pixels[top : top + height, left : left + width], JUDGING_QUALITY)


def fitting(
    image: ImageFile,
    seed: int,
    windows: Interval = FITTING_WINDOWS,
    qualities: Interval = FITTING_QUALITIES,
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
    return _resized(pixels, (window / shorter) ** place, window)


def _resized(pixels: Pixels, factor: float, least: int) -> Pixels:
    height, width = (max(least, round(side * factor)) for side in pixels.shape[:2])
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
