"""ICC profiles: the colours that a file's numbers stand for, brought to sRGB."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
_LARGEST = 8 * 2**20  # bytes; printing presses' profiles reach 3 MB
_PROBE_STEPS = 17


def to_srgb(image: Image.Image, profile: object) -> Image.Image:
    """Return the image in RGB, its colours those of sRGB.

    Relative colorimetric intent with black point compensation. A profile that is damaged, made for
    another kind of image, or that moves no colour by more than one level (sRGB itself, in its many
    spellings) is left aside, so that a sound picture's own numbers are kept bit for bit.

    Parameters
    ----------
    image : PIL.Image.Image
        Of mode ``L``, ``RGB`` or ``CMYK``; another mode is converted as if it had no profile.
    profile : bytes or None
        As Pillow's ``info["icc_profile"]`` holds it.
    """
    if isinstance(profile, bytes) and image.mode in _SPACES and len(profile) <= _LARGEST:
        transform = _transform(profile, image.mode)
        if transform is not None:
            return transform.apply(image)
    return image if image.mode == "RGB" else image.convert("RGB")


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        opened = ImageCms.ImageCmsProfile(BytesIO(profile))
        if opened.profile.xcolor_space.strip() != _SPACES[mode]:
            return None
        transform = ImageCms.buildTransform(
            opened,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        return None if _changes_nothing(transform, mode) else transform
    except Exception:  # littlecms and its wrapper raise many kinds for a damaged profile
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    if mode == "CMYK":
        return False
    probe = _probe(mode)
    before = np.asarray(probe.convert("RGB")).astype(np.int16)
    return bool(np.abs(np.asarray(transform.apply(probe)) - before).max() <= 1)


def _probe(mode: str) -> Image.Image:
    """Every grey, or a cube of colours 17 steps a side."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    levels = np.linspace(0, 255, _PROBE_STEPS).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1)
    return Image.fromarray(cube.reshape(_PROBE_STEPS, -1, 3))
