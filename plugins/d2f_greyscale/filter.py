"""Colour to grey by the luma of BT.601, the one that JPEG files use."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def luma(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Replace the three channels by their luma.

    ``Y = 0.299 R + 0.587 G + 0.114 B`` on gamma-encoded levels (ITU-R BT.601-7, 2011, section 2.5.1).

    Parameters
    ----------
    image : numpy.ndarray, shape (height, width, 3), uint8
        sRGB.

    Returns
    -------
    numpy.ndarray, shape (height, width, 3), uint8
        Three equal channels, rounded half to even, exactly.

    Examples
    --------
    >>> luma(np.array([[[255, 0, 0], [0, 255, 0]]], np.uint8))[0, :, 0]
    array([ 76, 150], dtype=uint8)
    """
    red, green, blue = (image[..., channel] for channel in range(3))
    # Whole thousandths are exact in float32, and so are the halves that the rounding looks for.
    thousandths = red * np.float32(299) + green * np.float32(587) + blue * np.float32(114)
    levels = np.rint(thousandths / np.float32(1000)).astype(np.uint8)
    return np.repeat(levels[..., np.newaxis], 3, axis=2)
