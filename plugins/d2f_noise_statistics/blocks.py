"""Statistics of 8x8 block cosine transforms, and of the grid that JPEG leaves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from d2f_noise_statistics.planes import Plane
from d2f_noise_statistics.sums import byte_counts

_TINY = 1e-3
_FREQUENCY = np.add.outer(np.arange(8), np.arange(8)).ravel()


def cosine_blocks(luma: Plane) -> Plane:
    """Return orthonormal DCT-II of the 8x8 blocks, shape (blocks, 64), row-major frequencies."""
    from scipy.fft import dctn

    height, width = luma.shape
    blocks = luma.reshape(height // 8, 8, width // 8, 8).transpose(0, 2, 1, 3)
    return np.asarray(dctn(blocks, axes=(2, 3), norm="ortho"), dtype=np.float32).reshape(-1, 64)


def frequency_profile(coefficients: Plane) -> NDArray[np.float64]:
    """Return log mean magnitude of the 63 AC frequencies, less their mean, and the shape E|x|² / E x² of each.

    Frank et al. 2020 (arXiv:2003.08685) read generators from DCT magnitudes; the shape is that of the
    generalised Gaussian family, by which Lam and Goodman 2000 (doi:10.1109/83.862633) model DCT coefficients.
    """
    magnitude = np.abs(coefficients[:, 1:])
    mean = magnitude.mean(axis=0, dtype=np.float64) + _TINY
    power = np.square(magnitude).mean(axis=0, dtype=np.float64) + _TINY**2
    logarithm = np.log(mean)
    return np.concatenate([logarithm - logarithm.mean(), mean * mean / power])


def first_digits(coefficients: Plane) -> NDArray[np.float64]:
    """Return shares of the first digits 1..9 in three bands of AC frequencies, and the divergence from Benford's law.

    Fu, Shi and Su 2007 (doi:10.1117/12.704723); for generated images Bonettini et al. 2020 (arXiv:2004.07682).
    Bands are rings of row + column frequency: 1–3, 4–7, 8–14. Magnitudes below 1 are left out.
    """
    magnitude = np.abs(coefficients)
    # Orthonormal coefficients of 8-bit pixels stay below 8 * 255: three steps of ten at most.
    for _ in range(3):
        np.multiply(magnitude, np.float32(0.1), out=magnitude, where=magnitude >= 10)
    digit = magnitude.astype(np.uint8)
    law = np.log10(1 + 1 / np.arange(1, 10))
    found = []
    for low, high in ((1, 3), (4, 7), (8, 14)):
        chosen = np.ascontiguousarray(digit[:, (low <= _FREQUENCY) & (high >= _FREQUENCY)])
        counts = byte_counts(chosen)[1:10] + 0.5
        share = counts / counts.sum()
        found += [share, [np.sum(share * np.log(share / law))]]
    return np.concatenate(found)


def grid_strength(luma: Plane) -> NDArray[np.float64]:
    """Return how much second differences stand out at one phase of the 8-pixel grid, in rows and columns, and at 16.

    Blockiness after Fan and de Queiroz 2003 (doi:10.1109/TIP.2002.807361): the mean absolute second
    difference at each of 8 phases, as logarithm over their median; largest, second largest and
    smallest, whichever phase they have, so that a crop changes nothing.
    """
    found: list[float] = []
    for bend in (
        np.abs(luma[:, 3:] - luma[:, 2:-1] - luma[:, 1:-2] + luma[:, :-3]).mean(axis=0),
        np.abs(luma[3:] - luma[2:-1] - luma[1:-2] + luma[:-3]).mean(axis=1),
    ):
        phases = np.array([bend[phase::8].mean(dtype=np.float64) for phase in range(8)]) + _TINY
        ordered = np.sort(np.log(phases / np.median(phases)))
        found += [ordered[-1], ordered[-2], ordered[0], np.log(phases[::2].mean() / phases[1::2].mean()) ** 2]
    return np.array(found)
