"""A picture through the JPEG encoder and back, in memory."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

LONGEST = 65500
"""Longest side in pixels that libjpeg encodes."""


def encode(image: NDArray[np.uint8], quality: int, subsampling: str = "4:2:0") -> bytes:
    """Encode as baseline JPEG (ITU-T T.81), YCbCr of JFIF, standard Huffman tables, no metadata.

    Parameters
    ----------
    image : numpy.ndarray, shape (height, width, 3), uint8
        sRGB, sides from 1 to 65500.
    quality : int
        1 to 100: the tables of T.81 annex K times ``5000 / quality`` % below 50 and ``200 - 2 quality`` % from 50.
    subsampling : {'4:4:4', '4:2:2', '4:2:0'}
        Of the chroma channels.

    Returns
    -------
    bytes
        The file.

    Raises
    ------
    ValueError
        A side longer than 65500 pixels.

    Examples
    --------
    >>> encode(np.zeros((8, 8, 3), np.uint8), quality=75)[:2].hex()
    'ffd8'
    """
    if max(image.shape[:2]) > LONGEST:
        raise ValueError(f"JPEG holds at most {LONGEST} pixels a side, not {max(image.shape[:2])}")
    stream = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(image))
    picture.save(stream, "JPEG", quality=quality, subsampling=subsampling, optimize=False, progressive=False)
    return stream.getvalue()


def recompress(image: NDArray[np.uint8], quality: int, subsampling: str = "4:2:0") -> NDArray[np.uint8]:
    """Encode as JPEG and decode again.

    Parameters
    ----------
    image, quality, subsampling
        As of `encode`.

    Returns
    -------
    numpy.ndarray, shape of `image`, uint8
        What libjpeg-turbo decodes, with its smooth chroma upsampling.

    Examples
    --------
    >>> grey = np.full((16, 16, 3), 128, np.uint8)
    >>> bool((recompress(grey, quality=30) == grey).all())
    True
    """
    # Not by Image.open, which would warn of this process's own large pictures.
    with JpegImageFile(io.BytesIO(encode(image, quality, subsampling))) as picture:
        return np.array(picture)
