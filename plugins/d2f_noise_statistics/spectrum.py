"""The power spectrum: its fall with frequency, and the peaks that up-sampling leaves."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from d2f_noise_statistics.planes import Plane

RINGS = 32
"""Rings of radial frequency between 0 and Nyquist's."""

UPSAMPLING = ((0, 4), (4, 0), (4, 4), (0, 2), (2, 0), (2, 2), (2, 4), (4, 2), (0, 1), (1, 0), (0, 3), (3, 0))
"""(down, right) in eighths of a cycle a pixel."""

_TINY = 1e-6


@cache
def _taper(length: int) -> NDArray[np.float32]:
    return np.hanning(length + 2)[1:-1].astype(np.float32)


@cache
def _rings(height: int, width: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the ring of each place of a half spectrum, `RINGS` beyond Nyquist's radius, and the rings' sizes."""
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    ring = np.minimum((radius * 2 * RINGS).astype(np.intp), RINGS)
    return ring, np.bincount(ring.ravel(), minlength=RINGS + 1)


@cache
def _sectors(height: int, width: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the sector of 15 degrees of each place, mirrored to one quadrant, and the sectors' sizes."""
    angle = np.arctan2(np.abs(np.fft.fftfreq(height))[:, None], np.fft.rfftfreq(width)[None])
    sector = np.minimum((angle / (np.pi / 2) * 6).astype(np.intp), 5)
    return sector, np.bincount(sector.ravel(), minlength=6)


def log_power(luma: Plane) -> Plane:
    """Return the natural logarithm of the Hann-windowed power spectrum, shape (height, width / 2 + 1)."""
    from scipy.fft import rfft2

    height, width = luma.shape
    tapered = (luma - luma.mean()) * _taper(height)[:, None] * _taper(width)[None]
    spectrum = rfft2(tapered)
    power: Plane = np.square(spectrum.real) + np.square(spectrum.imag) + np.float32(_TINY * luma.size)
    return np.log(power)


def ring_means(power: Plane, height: int, width: int) -> NDArray[np.float64]:
    """Return the mean of each ring, and of what lies beyond Nyquist's radius, shape (RINGS + 1,)."""
    ring, counts = _rings(height, width)
    return np.bincount(ring.ravel(), weights=power.ravel(), minlength=RINGS + 1) / counts


def radial_profile(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rings' log power less the mean of all, the corners', the slope over log frequency and its misfit.

    Durall, Keuper and Keuper 2020 (arXiv:1911.00686) tell generated images by the radial profile's
    end; photographs fall by a power law (Field 1987, doi:10.1364/JOSAA.4.002379), so slope and misfit.
    """
    profile = means[1:RINGS] - means[1:RINGS].mean()
    axis = np.log(np.arange(1, RINGS) + 0.5)
    axis -= axis.mean()
    slope = np.sum(axis * profile) / np.sum(axis * axis)
    misfit = np.sqrt(np.mean(np.square(profile - slope * axis)))
    return np.concatenate([profile, [means[RINGS] - means[1:RINGS].mean(), slope, misfit]])


def peaks(power: Plane, means: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """Return how far log power stands above its ring: where up-sampling peaks, at most, in spread, by direction.

    Peaks at multiples of 1/8, 1/4 and 1/2 cycles a pixel are traces of a decoder's up-sampling
    (Zhang, Karaman and Chang 2019, arXiv:1907.06515; Corvi et al. 2022, arXiv:2211.00680).
    """
    ring, _ = _rings(height, width)
    excess = power - means.astype(np.float32)[ring]
    found = [_near(excess, down * height // 8, right * width // 8) for down, right in UPSAMPLING]
    fine = np.where(ring >= RINGS // 4, excess, np.float32(0))
    spread = np.sqrt(np.add.reduce(np.square(fine), axis=None) / fine.size)
    shares = [np.count_nonzero(fine > least) / fine.size for least in (2.0, 3.0)]
    sector, counts = _sectors(height, width)
    six = np.bincount(sector.ravel(), weights=fine.ravel(), minlength=6) / counts
    # Turning a picture by 90 degrees exchanges sectors that lie as mirror images about the diagonal.
    turned = six[::-1]
    return np.array(
        [*found, fine.max(), spread, *shares, *(six + turned)[:3], *np.abs(six - turned)[:3]], dtype=np.float64
    )


def _near(excess: Plane, row: int, column: int) -> float:
    """Return the largest value within one place of (row, column), rows going round."""
    rows = np.arange(row - 1, row + 2) % excess.shape[0]
    return float(excess[rows, max(column - 1, 0) : column + 2].max())
