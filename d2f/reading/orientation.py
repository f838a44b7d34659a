"""The rotation that a camera noted in EXIF, laid over the pixels."""

from __future__ import annotations

import numpy as np
from PIL import Image

from d2f.api.arrays import Pixels

TAG = 0x0112
"""EXIF tag Orientation (CIPA DC-008, 4.6.5.1.6), 1 to 8."""


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of a loaded image, 1 where there is none that makes sense."""
    try:
        value = image.getexif().get(TAG, 1)
    except Exception:  # damaged metadata of any kind: the picture itself is sound
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turn pixels (height, width, 3) the way the picture was taken; a view where that is enough.

    Parameters
    ----------
    pixels : numpy.ndarray, shape (height, width, 3), uint8
    orientation : int
        1 to 8, as EXIF counts: 2 mirrored, 3 turned by 180 degrees, 4 flipped, 5 transposed,
        6 to be turned clockwise, 7 transposed over the other diagonal, 8 to be turned the other way.
    """
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
