"""A tiny labelled folder, for trying out fitting, training and benching."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from d2f.api.inputs import ImageFile, Pixels

WHITE = 2000.0
"""Electrons at white."""

READ_NOISE = 3.0
"""Standard deviation of the read noise, in electrons."""

GAMMA = 1 / 2.2
ENLARGED = 4
"""How many times `upsampled_picture` enlarges its coarse map."""


def camera_picture(height: int = 256, width: int = 256, seed: int = 0) -> Pixels:
    """Return a picture as a camera would give it, uint8 (height, width, 3).

    Shot noise of 2,000 electrons at white, read noise of 3, an RGGB mosaic, bilinear demosaicking, gamma 1/2.2.

    Examples
    --------
    >>> picture = camera_picture(64, 96, seed=1)
    >>> picture.shape, picture.dtype.name, bool((picture == camera_picture(64, 96, seed=1)).all())
    ((64, 96, 3), 'uint8', True)
    """
    rng = np.random.default_rng((seed, 1))
    light = scene(height, width, rng)
    electrons = rng.poisson(light * WHITE) + rng.normal(0.0, READ_NOISE, light.shape)
    return _as_bytes(_demosaicked(electrons / WHITE))


def upsampled_picture(height: int = 256, width: int = 256, seed: int = 0) -> Pixels:
    """Return a picture enlarged from a coarse map as a generator's decoder does, uint8 (height, width, 3).

    Two transposed convolutions of stride 2 with kernels that are off by a little: each leaves a lattice of
    period 2 behind (Odena, Dumoulin and Olah 2016, doi:10.23915/distill.00003).

    Examples
    --------
    >>> upsampled_picture(64, 96, seed=1).shape
    (64, 96, 3)
    """
    rng = np.random.default_rng((seed, 2))
    picture = scene(-(-height // ENLARGED), -(-width // ENLARGED), rng)
    for _ in range(2):
        kernel = np.array([0.25, 0.75, 0.75, 0.25]) * (1.0 + rng.normal(0.0, 0.06, 4))
        for axis in (0, 1):
            picture = _twice(picture, kernel * (2.0 / kernel.sum()), axis)
    picture = picture[:height, :width]
    return _as_bytes(picture + rng.normal(0.0, 0.004, picture.shape))


def scene(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return linear light (height, width, 3) in [0, 1]: texture whose power falls with frequency, under discs.

    Photographs' spectra fall by about 1 / frequency (Field 1987, doi:10.1364/JOSAA.4.002379).
    """
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    radius[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((height, width))) / np.maximum(radius, 1 / max(height, width))
    texture = np.fft.irfft2(spectrum, s=(height, width))
    texture = 0.45 + 0.18 * texture / max(float(texture.std()), 1e-9)
    picture = texture[..., None] * rng.uniform(0.5, 1.2, 3)
    y, x = np.mgrid[:height, :width]
    for _ in range(4):
        top, left, size = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(0.05, 0.2) * max(height, width)
        disc = (y - top) ** 2 + (x - left) ** 2 < size**2
        picture = np.where(disc[..., None], 0.3 * picture + 0.7 * rng.uniform(0.05, 0.95, 3), picture)
    return np.clip(picture, 0.0, 1.0)


def _demosaicked(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keep one colour a pixel (RGGB) and fill in the others from their neighbours, bilinearly."""
    kept = np.zeros_like(values)
    for channel, row, column in ((0, 0, 0), (1, 0, 1), (1, 1, 0), (2, 1, 1)):
        kept[row::2, column::2, channel] = 1.0
    return _smoothed(values * kept) / np.maximum(_smoothed(kept), 1e-9)


def _smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convolve each channel with (1 2 1; 2 4 2; 1 2 1), mirrored at the edges."""
    for axis in (0, 1):
        edges = [(1, 1) if axis == other else (0, 0) for other in range(3)]
        padded = np.moveaxis(np.pad(values, edges, mode="symmetric"), axis, 0)
        values = np.moveaxis(padded[:-2] + 2.0 * padded[1:-1] + padded[2:], 0, axis)
    return values


def _twice(picture: NDArray[np.float64], kernel: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Enlarge twice along an axis: each new pixel is a sum of two old ones, by turns under two pairs of weights."""
    edges = [(1, 1) if axis == other else (0, 0) for other in range(3)]
    old = np.moveaxis(np.pad(picture, edges, mode="edge"), axis, 0)
    new = np.empty((2 * (len(old) - 2), *old.shape[1:]))
    new[0::2] = kernel[3] * old[:-2] + kernel[1] * old[1:-1]
    new[1::2] = kernel[2] * old[1:-1] + kernel[0] * old[2:]
    return np.moveaxis(new, 0, axis)


def _as_bytes(light: NDArray[np.float64]) -> Pixels:
    return np.rint(255.0 * np.clip(light, 0.0, 1.0) ** GAMMA).astype(np.uint8)


SIDE = 256
TINY = ((1, 1), (1, 7), (7, 1), (2, 3), (8, 8), (15, 16))
"""Sizes, height and width, at which a detector may well have nothing to say."""


@cache
def pictures() -> Mapping[str, Pixels]:
    """Return the pictures that every stage is tried on, by name.

    Returns
    -------
    mapping of str to numpy.ndarray, shape (height, width, 3), uint8
        Read-only. `ordinary_pictures` at 256 x 256, pictures of odd and narrow sizes, `flat_pictures`, and
        tiny ones from 1 x 1 on.

    Examples
    --------
    >>> {name: picture.shape for name, picture in pictures().items() if "x1" in name}
    {'tiny 1x1': (1, 1, 3), 'tiny 7x1': (1, 7, 3), 'tiny 16x15': (15, 16, 3)}
    """
    made = {
        **ordinary_pictures(SIDE, SIDE),
        "camera, odd size": _kept(camera_picture(173, 251, seed=5)),
        "camera, narrow": _kept(camera_picture(31, 400, seed=6)),
        **flat_pictures(64, 64),
        **{f"tiny {width}x{height}": _kept(camera_picture(height, width, seed=7)) for height, width in TINY},
    }
    return MappingProxyType(made)


@cache
def ordinary_pictures(height: int, width: int) -> Mapping[str, Pixels]:
    """Return pictures of one size that a detector should have something to say of, by name."""
    made: tuple[tuple[str, Callable[[int, int], Pixels]], ...] = (
        ("camera", camera_picture),
        ("upsampled", upsampled_picture),
        ("noise", lambda *size: np.random.default_rng(11).integers(0, 256, (*size, 3), dtype=np.uint8)),
        ("text", _page),
        ("gradient", _gradient),
    )
    return MappingProxyType({name: _kept(make(height, width)) for name, make in made})


@cache
def flat_pictures(height: int, width: int) -> Mapping[str, Pixels]:
    """Return pictures of one size without any content, by name: where a variance or a spectrum is zero."""
    levels = {"black": (0, 0, 0), "white": (255, 255, 255), "grey": (128, 128, 128), "one colour": (200, 30, 90)}
    flat = {name: _kept(np.full((height, width, 3), level, dtype=np.uint8)) for name, level in levels.items()}
    return MappingProxyType(flat)


def hard_pictures() -> Mapping[str, Pixels]:
    """Return the tiny pictures of `pictures`, and the flat ones."""
    return {name: one for name, one in pictures().items() if name.startswith("tiny") or (one == one[0, 0]).all()}


def with_size(name: str, picture: Pixels) -> str:
    """Return what findings call a picture: its name, width and height."""
    size = f"{picture.shape[1]}x{picture.shape[0]}"
    return name if name.endswith(size) else f"{name} {size}"


def _gradient(height: int, width: int) -> Pixels:
    y, x = np.mgrid[:height, :width]
    parts = np.stack([x / max(width - 1, 1), y / max(height - 1, 1), (x + y) / max(width + height - 2, 1)], axis=-1)
    shades: Pixels = np.rint(255 * parts).astype(np.uint8)
    return shades


def _page(height: int, width: int) -> Pixels:
    """Black marks on white in lines, as a screenshot of a page has them: hard edges, two levels."""
    marks = np.random.default_rng(12).random((-(-height // 2), -(-width // 2))) < 0.45
    marks[np.arange(len(marks)) % 8 >= 5] = False
    marks[:, np.arange(marks.shape[1]) % 5 == 4] = False
    enlarged = marks.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    page: Pixels = np.zeros((height, width, 3), dtype=np.uint8)
    page[~enlarged] = 255
    return page


def _kept(picture: Pixels) -> Pixels:
    picture.flags.writeable = False
    return picture


SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}


def image_file(pixels: Pixels, name: str = "picture", format: str = "PNG", **save: object) -> ImageFile:
    """Return a picture as the engine would read it from a file; nothing is written.

    Parameters
    ----------
    pixels : numpy.ndarray, shape (height, width, 3), uint8
    name : str
        The file's name, without its ending.
    format : {'PNG', 'JPEG', 'WEBP'}
    **save
        Further arguments of Pillow's ``Image.save``: ``quality``, ``exif``, ``pnginfo``, ….

    Examples
    --------
    >>> from d2f.testing import camera_picture
    >>> image_file(camera_picture(64, 64), "photo", "JPEG", quality=90).path
    'photo.jpg'
    """
    from PIL import Image

    written = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(written, format=format, **save)
    data = written.getvalue()
    with Image.open(io.BytesIO(data)) as opened:
        decoded = np.asarray(opened.convert("RGB"))
        info = {str(key): value for key, value in opened.info.items()}
    decoded.flags.writeable = False
    height, width = decoded.shape[:2]
    digest = hashlib.sha256(data).hexdigest()
    return ImageFile(f"{name}{SUFFIXES[format]}", data, digest, format, width, height, decoded, info)


QUALITY = 92


def write_labelled_set(
    folder: str | os.PathLike[str], count: int = 12, height: int = 256, width: int = 256, seed: int = 0
) -> Path:
    """Write ``real/*/*.jpg`` and ``generated/toy/*/*.jpg`` and return the folder.

    The classes differ in how the pictures were made (`camera_picture`, `upsampled_picture`) and in nothing else:
    one size, one format, one JPEG quality.

    Parameters
    ----------
    folder : path
        Made where it is not there; files of the same names are replaced.
    count : int
        Pictures of each label, spread over four collections.
    height, width : int
        In pixels.
    seed : int
        Sets of different seeds share no picture.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sorted(path.name for path in write_labelled_set(folder, count=2, height=64, width=64).rglob("*.jpg"))
    ['0000.jpg', '0000.jpg', '0001.jpg', '0001.jpg']
    """
    from PIL import Image

    root = Path(folder)
    for label, make in (("real", camera_picture), ("generated/toy", upsampled_picture)):
        for number in range(count):
            target = root / label / f"place-{number % 4}" / f"{number:04}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            picture = make(height, width, seed=1000 * seed + number)
            Image.fromarray(picture).save(target, quality=QUALITY)
    return root
