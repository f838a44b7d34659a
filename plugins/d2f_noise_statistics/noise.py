"""The Wiener residual: its shape and neighbours; and how the level of noise follows brightness."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from d2f_noise_statistics.planes import Plane
from d2f_noise_statistics.sums import mean, mean_product, shifted

_TINY = np.float32(1e-3)
BLOCK = 16
SHIFTS = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (2, 2), (0, 4), (4, 0), (0, 8), (8, 0))


def box_mean(plane: Plane) -> Plane:
    """Return means over windows of 5x5, of the places where the window fits."""
    pairs = plane[:-1] + plane[1:]
    rows = pairs[:-3] + pairs[2:-1] + plane[4:]
    pairs = rows[:, :-1] + rows[:, 1:]
    return (pairs[:, :-3] + pairs[:, 2:-1] + rows[:, 4:]) * np.float32(1 / 25)


def wiener_residual(plane: Plane) -> tuple[Plane, Plane]:
    """Return what a 5x5 adaptive Wiener filter takes away, and the local variance it used.

    Lee 1980 (doi:10.1109/TPAMI.1980.4766994), the filter of MATLAB's ``wiener2``; the noise variance is
    the mean of the local variances. Only places where the window fits: (height - 4, width - 4).
    """
    # About the plane's mean: single precision would lose small variances under large squares.
    centred = plane - mean(plane)
    local = box_mean(centred)
    variance = np.maximum(box_mean(np.square(centred)) - np.square(local), 0)
    noise = mean(variance)
    gain = np.minimum(noise / np.maximum(variance, _TINY), np.float32(1))
    return (centred[2:-2, 2:-2] - local) * gain, variance


def residual_statistics(luma: Plane) -> NDArray[np.float64]:
    """Return shape and log kurtosis of the Wiener residual, its correlation with itself at ten shifts, and the
    spread and skewness of the logarithm of local variance.

    Residuals of a denoiser carry a camera's and a generator's fingerprint (Lukáš, Fridrich and Goljan
    2006, doi:10.1109/TIFS.2006.873602; Marra et al. 2019, arXiv:1812.11842).
    """
    residual, variance = wiener_residual(luma)
    power = np.square(residual)
    average, second = mean(residual), mean(power) + _TINY
    fourth = mean_product(power, power) + _TINY * _TINY
    found = [mean(np.abs(residual)) / np.sqrt(second), np.log(fourth / (second * second))]
    found += [shifted(residual, *shift, average, second) for shift in SHIFTS]
    logarithm = np.log(variance + np.float32(0.1))
    logarithm -= mean(logarithm)
    power = np.square(logarithm)
    second = mean(power)
    return np.array(
        [*found, np.sqrt(second), mean_product(power, logarithm) / (second + _TINY) ** 1.5], dtype=np.float64
    )


def block_means(plane: Plane) -> Plane:
    """Return means of the 16x16 blocks that fit, row by row, shape (blocks,)."""
    rows, columns = plane.shape[0] // BLOCK, plane.shape[1] // BLOCK
    sums = np.add.reduce(plane[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns * BLOCK), axis=1)
    means: Plane = np.add.reduce(sums.reshape(rows * columns, BLOCK), axis=1) / np.float32(BLOCK * BLOCK)
    return means


def _correlation(first: NDArray[np.float64], second: NDArray[np.float32]) -> float:
    first, other = first - first.mean(), second.astype(np.float64) - second.mean()
    return float((first * other).sum() / np.sqrt((first * first).sum() * (other * other).sum() + 1e-6))


def noise_level(luma: Plane) -> NDArray[np.float64]:
    """Return how the noise of 16x16 blocks varies, and how it follows their brightness.

    A sensor's noise grows with light (Foi et al. 2008, doi:10.1109/TIP.2008.2001399), and is of one
    level over the picture; block levels are mean absolute second differences (Immerkær 1996,
    doi:10.1006/cviu.1996.0060). Quantiles of their logarithm about the median, the correlation with
    brightness, and the level of the smoothest blocks in five bins of brightness, about that of all.
    """
    bend = luma[:, 2:] - 2 * luma[:, 1:-1] + luma[:, :-2]
    bend = np.abs(bend[2:] - 2 * bend[1:-1] + bend[:-2])
    level, light = block_means(bend) / np.float32(6), block_means(luma[1:-1, 1:-1])
    logarithm = np.log(level + np.float32(0.05)).astype(np.float64)
    quantiles = np.quantile(logarithm, (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98))
    found = [*(quantiles - quantiles[3])[[0, 1, 2, 4, 5, 6]], _correlation(logarithm, light)]
    edges = np.array([32, 80, 128, 176, 256], dtype=np.float32)
    bins = np.searchsorted(edges, light)
    for each in range(5):
        chosen = logarithm[bins == each]
        found.append(float(np.quantile(chosen, 0.2) - quantiles[1]) if chosen.size >= 4 else 0.0)
    return np.array(found, dtype=np.float64)
