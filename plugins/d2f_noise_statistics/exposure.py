"""Exposure: what is clipped at black and at white."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from d2f_noise_statistics.sums import byte_counts


def exposure(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return square roots of the shares of pixels at and near black, and at and near white, 4 values.

    A generator normalises its output and clips little, a camera clips (McCloskey and Albright 2018,
    arXiv:1812.08247). Black: the largest of the three channels is at most 5, or 20; white: the smallest
    is at least 250, or 235.
    """
    red, green, blue = (np.ascontiguousarray(pixels[..., channel]) for channel in range(3))
    lightest = byte_counts(np.maximum(np.maximum(red, green), blue)) / red.size
    darkest = byte_counts(np.minimum(np.minimum(red, green), blue)) / red.size
    shares = lightest[:6].sum(), lightest[:21].sum(), darkest[250:].sum(), darkest[235:].sum()
    return np.sqrt(np.array(shares, dtype=np.float64))
