"""A picture through the WebP encoder and back, in memory."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.WebPImagePlugin import WebPImageFile

LONGEST = 16383
"""Longest side in pixels that the format holds."""


def recompress(
    image: NDArray[np.uint8], quality: int = 80, lossless: bool = False, method: int = 4
) -> NDArray[np.uint8]:
    """Encode as WebP (RFC 9649) by libwebp and decode again.

    Parameters
    ----------
    image : numpy.ndarray, shape (height, width, 3), uint8
        sRGB, sides from 1 to 16383.
    quality : int
        0 to 100, on libwebp's scale.
    lossless : bool
        Whether every pixel is kept.
    method : int
        The encoder's effort, 0 to 6.

    Returns
    -------
    numpy.ndarray, shape of `image`, uint8
        VP8 keeps chroma at half the resolution each way (4:2:0), unless `lossless`.

    Raises
    ------
    ValueError
        A side longer than 16383 pixels.

    Examples
    --------
    >>> ramp = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    >>> bool((recompress(ramp, lossless=True) == ramp).all())
    True
    """
    if max(image.shape[:2]) > LONGEST:
        raise ValueError(f"WebP holds at most {LONGEST} pixels a side, not {max(image.shape[:2])}")
    stream = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(image))
    picture.save(stream, "WEBP", quality=quality, lossless=lossless, method=method)
    # Not by Image.open, which would warn of this process's own large pictures.
    with WebPImageFile(io.BytesIO(stream.getvalue())) as decoded:
        return np.array(decoded)
