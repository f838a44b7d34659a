"""All features of one view, in one fixed order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from d2f_noise_statistics import blocks, cooccurrence, exposure, noise, patterns, spectrum, subbands
from d2f_noise_statistics.planes import LEVELS, luma_and_colour, pyramid, window

COUNT = 948
"""How many features there are."""


def groups(pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """Return the features by group, each of shape (n,), float64, finite.

    Parameters
    ----------
    pixels : numpy.ndarray, shape (height, width, 3), uint8
        sRGB, both sides at least `SMALLEST`; only the central window is looked at.
    """
    seen = window(pixels)
    planes = luma_and_colour(seen)
    luma, blue, red = pyramid(planes[0]), pyramid(planes[1], 3), pyramid(planes[2], 3)
    coefficients = blocks.cosine_blocks(luma[0])
    power = spectrum.log_power(luma[0])
    rings = spectrum.ring_means(power, *luma[0].shape)
    found: dict[str, NDArray[np.float64]] = {}
    for level in range(2):
        found[f"rich-model/{level}"] = cooccurrence.rich_model(luma[level])
    for level in range(LEVELS):
        found[f"patterns/{level}"] = patterns.binary_patterns(luma[level])
    found["subtractive-pixels"] = cooccurrence.subtractive_pixels(luma[0])
    found["subbands"] = subbands.over_scales(luma[:3], blue, red)
    found["frequency-profile"] = blocks.frequency_profile(coefficients)
    found["first-digits"] = blocks.first_digits(coefficients)
    found["grid"] = blocks.grid_strength(luma[0])
    found["radial-profile"] = spectrum.radial_profile(rings)
    found["peaks"] = spectrum.peaks(power, rings, *luma[0].shape)
    for level in range(2):
        found[f"residual/{level}"] = noise.residual_statistics(luma[level])
    found["noise-level"] = noise.noise_level(luma[0])
    found["exposure"] = exposure.exposure(seen)
    return found


def features(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return all features of a view, shape (d,), float64, finite."""
    return np.concatenate(list(groups(pixels).values()))
