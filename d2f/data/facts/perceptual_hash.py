"""A hash of what a picture looks like: near-duplicates differ in few bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from d2f.api.arrays import Pixels

BITS = 64
_SIDE = 32
_FLAT = 2.0
"""Least standard deviation of the 32 x 32 grey copy, in levels of 255, at which a hash means something."""


def perceptual_hash(pixels: Pixels) -> int | None:
    """Return the 64-bit DCT hash of a picture.

    The picture is brought to 32 x 32 grey levels by averaging; of its two-dimensional DCT-II the 8 x 8 coefficients
    of frequencies 1..8 are kept; a bit is set where the coefficient exceeds their median. Recompression, scaling and
    small changes of tone flip few of them.

    Parameters
    ----------
    pixels : numpy.ndarray, shape (height, width, 3), uint8

    Returns
    -------
    int or None
        In [0, 2**64); None for a picture that is flat at this scale, whose bits would be rounding.

    References
    ----------
    Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", Upper Austria University of
    Applied Sciences, 2010, section 3.2.1.

    Examples
    --------
    >>> from d2f.testing import camera_picture
    >>> picture = camera_picture(128, 128)
    >>> bin(perceptual_hash(picture) ^ perceptual_hash(picture[::2, ::2])).count("1") <= 6
    True
    """
    reduced = Image.fromarray(pixels).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    grey = np.asarray(reduced, dtype=np.float64)
    if grey.std() < _FLAT:
        return None
    basis = _cosines()
    low = (basis @ grey @ basis.T).ravel()
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


def _cosines() -> NDArray[np.float64]:
    """Rows 1..8 of the DCT-II of 32 points, shape (8, 32); a common factor moves no bit."""
    frequency, place = np.arange(1, 9)[:, None], np.arange(_SIDE)[None]
    cosines: NDArray[np.float64] = np.cos(np.pi * frequency * (2 * place + 1) / (2 * _SIDE))
    return cosines
