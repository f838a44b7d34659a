"""Pictures taken again: from a print with its screen, from a display with its grid, from a display out of focus."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Pixels = NDArray[np.uint8]


def screened_print(pixels: Pixels, seed: int) -> Pixels:
    """Return a colour print with screens at 15, 75 and 0 degrees, scanned straight, without borders."""
    image = Image.fromarray(pixels)
    large = np.asarray(image.resize((2 * image.width, 2 * image.height), Image.Resampling.BICUBIC), np.float64)
    down, across = np.mgrid[: large.shape[0], : large.shape[1]]
    for channel, angle in enumerate(np.deg2rad((15, 75, 0))):
        turned = across * np.cos(angle) + down * np.sin(angle), down * np.cos(angle) - across * np.sin(angle)
        screen = np.sin(1.05 * turned[0]) * np.sin(1.05 * turned[1])
        large[..., channel] = 255.0 * (large[..., channel] > 127.5 * (screen + 1))
    scanned = _image(large).filter(ImageFilter.GaussianBlur(1.4)).resize(image.size, Image.Resampling.LANCZOS)
    return _camera(scanned, seed, black=15, contrast=0.9, noise=2)


def display(pixels: Pixels, seed: int) -> Pixels:
    """Return a display photographed near its resolution: stripes of three colours, dark lines, tilt, moire."""
    random, side = np.random.default_rng(seed), 3
    levels = pixels.repeat(side, axis=0).repeat(side, axis=1) / 255.0
    lit = np.zeros((1, levels.shape[1], 3))
    for channel in range(3):
        lit[0, channel::side, channel] = 1
    lines = np.where(np.arange(levels.shape[0]) % side == side - 1, 0.35, 1.0)[:, None, None]
    shown = _inner(_image(255 * 2.2 * levels**1.1 * lit * lines).rotate(random.uniform(-3, 3), _BICUBIC))
    size = [round(length * random.uniform(0.37, 0.47)) for length in shown.size]
    taken = shown.filter(ImageFilter.GaussianBlur(0.9)).resize((size[0], size[1]), Image.Resampling.BILINEAR)
    return _camera(taken, seed, black=6, contrast=1, noise=4)


def soft_display(pixels: Pixels, seed: int) -> Pixels:
    """Return a display photographed a little out of focus and askew, without its frame."""
    image = Image.fromarray(pixels)
    width, height = image.size
    random = np.random.default_rng(seed)
    shear = (1 - random.uniform(0, 0.04), random.uniform(0, 0.03), 0.0, random.uniform(0, 0.03), 1.0, 0.0)
    askew = image.transform(image.size, Image.Transform.PERSPECTIVE, (*shear, 4e-5, 2e-5), _BICUBIC)
    taken = _inner(askew.filter(ImageFilter.GaussianBlur(0.8))).resize((width, height), Image.Resampling.LANCZOS)
    return _camera(taken, seed, black=18, contrast=0.88, noise=3)


RESCANS: dict[str, Callable[[Pixels, int], Pixels]] = {
    "print with its screen, scanned straight": screened_print,
    "display with its grid, photographed": display,
    "display out of focus, photographed": soft_display,
}
"""Makers by name: pixels (height, width, 3) and a seed to pixels."""

_BICUBIC = Image.Resampling.BICUBIC


def _inner(image: Image.Image) -> Image.Image:
    left, top = image.width // 16, image.height // 16
    return image.crop((left, top, image.width - left, image.height - top))


def _camera(image: Image.Image, seed: int, black: float, contrast: float, noise: float) -> Pixels:
    levels = black + contrast * np.asarray(image, np.float64)
    levels += np.random.default_rng(seed).normal(0, noise, levels.shape)
    stream = io.BytesIO()
    _image(levels).save(stream, "JPEG", quality=90)
    return np.array(Image.open(stream).convert("RGB"))


def _image(levels: NDArray[np.float64]) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(levels), 0, 255).astype(np.uint8))
