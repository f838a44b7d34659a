"""Colour: exposure, saturation and the correlation of the colour planes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from d2f_noise_statistics.sums import byte_counts, mean, mean_product


def exposure(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return shares of pixels at and near black and white, and quantiles' spacing of brightness.

    A generator normalises its output and clips little, a camera clips (McCloskey and Albright 2018,
    arXiv:1812.08247).
    """
    red, green, blue = (np.ascontiguousarray(pixels[..., channel]) for channel in range(3))
    lightest = np.maximum(np.maximum(red, green), blue)
    darkest = np.minimum(np.minimum(red, green), blue)
    counts_light, counts_dark = byte_counts(lightest) / red.size, byte_counts(darkest) / red.size
    shares = [counts_light[:6].sum(), counts_light[:21].sum(), counts_dark[250:].sum(), counts_dark[235:].sum()]
    saturation = byte_counts(lightest - darkest) / red.size
    steps = np.cumsum(saturation)[[8, 16, 32, 64, 96, 128, 192]]
    found: NDArray[np.float64] = np.concatenate([shares, steps])
    return np.sqrt(found)


def plane_correlations(planes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return correlations of luma and the colour differences (3, height, width), and their log variances.

    Colour-component disparities after Li et al. 2020 (arXiv:1808.07276).
    """
    centred = planes - mean(planes)[:, None, None]
    power = mean_product(centred, centred) + np.float32(0.1)
    pairs = [(0, 1), (0, 2), (1, 2)]
    found = [mean_product(centred[i], centred[j]) / np.sqrt(power[i] * power[j]) for i, j in pairs]
    return np.array([*found, *np.log(power)], dtype=np.float64)
