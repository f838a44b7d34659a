"""Pictures remade so that their statistics are a photograph's: camera simulation, spectrum, histogram, resharpening."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from d2f import Pixels
from d2f_everyday.edits import levels
from d2f_everyday.photographs import QUANTILES, SPECTRUM

Plane = NDArray[np.float32]

GREEN = np.array([[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]], np.float32)
"""Eighths: green at a red or blue site (Malvar, He and Cutler 2004, figure 2)."""
ALONG = np.array(
    [[0, 0, 0.5, 0, 0], [0, -1, 0, -1, 0], [-1, 4, 5, 4, -1], [0, -1, 0, -1, 0], [0, 0, 0.5, 0, 0]], np.float32
)
"""Eighths: red or blue at a green site, its own colour in the same row; transposed, in the same column."""
ACROSS = np.array(
    [[0, 0, -1.5, 0, 0], [0, 2, 0, 2, 0], [-1.5, 0, 6, 0, -1.5], [0, 2, 0, 2, 0], [0, 0, -1.5, 0, 0]], np.float32
)
"""Eighths: red at a blue site and blue at a red one."""


def camera(pixels: Pixels, photons: float, read: float, contrast: float, seed: int) -> Pixels:
    """Return the picture as a simulated camera takes it.

    sRGB to linear light (IEC 61966-2-1); one colour a pixel in Bayer's pattern RGGB; electrons
    ``photons x + sqrt(photons x + read^2) z`` with z from N(0, 1), Poisson's law by its Gaussian limit; demosaicking by
    the linear filters of H. S. Malvar, L. He and R. Cutler (2004, doi:10.1109/ICASSP.2004.1326587), borders mirrored;
    back to sRGB, and the tone curve ``(1 - contrast) x + contrast (3 x^2 - 2 x^3)``.

    Parameters
    ----------
    pixels : numpy.ndarray, shape (height, width, 3), uint8
    photons : float
        Electrons at white, above 0.
    read : float
        Standard deviation of the read noise, electrons.
    contrast : float
        0 to 1.
    seed : int
        At least 0. Equal seeds give equal noise.

    Examples
    --------
    >>> taken = camera(np.full((64, 64, 3), 128, np.uint8), 1e9, 0.0, 0.0, 1)
    >>> int(taken.min()), int(taken.max())
    (128, 128)
    """
    linear = _linear(np.arange(256) / 255).astype(np.float32)[pixels]
    mosaic = linear[..., 1].copy()
    mosaic[::2, ::2], mosaic[1::2, 1::2] = linear[::2, ::2, 0], linear[1::2, 1::2, 2]
    drawn = np.random.default_rng(seed).standard_normal(mosaic.shape, np.float32)
    mosaic += np.sqrt(mosaic / np.float32(photons) + np.float32((read / photons) ** 2)) * drawn
    x = _encoded(np.clip(_demosaicked(mosaic), 0, 1))
    return levels(255 * ((1 - contrast) * x + contrast * x * x * (3 - 2 * x)))


def _linear(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def _encoded(x: Plane) -> Plane:
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.maximum(x, 0.0031308) ** (1 / 2.4) - 0.055).astype(np.float32)


def _demosaicked(mosaic: Plane) -> Plane:
    """Return (height, width, 3) of a mosaic RGGB: red at even rows and columns, blue at odd ones."""
    from scipy.ndimage import correlate

    # Mirrored about the border pixel, so that the pattern goes on.
    green, along, down, across = (
        correlate(mosaic, kernel / 8, mode="mirror") for kernel in (GREEN, ALONG, ALONG.T, ACROSS)
    )
    out = np.repeat(mosaic[..., None], 3, axis=2)
    red_rows, blue_rows, even, odd = slice(0, None, 2), slice(1, None, 2), slice(0, None, 2), slice(1, None, 2)
    out[red_rows, even, 1], out[blue_rows, odd, 1] = green[red_rows, even], green[blue_rows, odd]
    out[red_rows, even, 2], out[blue_rows, odd, 0] = across[red_rows, even], across[blue_rows, odd]
    out[red_rows, odd, 0], out[red_rows, odd, 2] = along[red_rows, odd], down[red_rows, odd]
    out[blue_rows, even, 2], out[blue_rows, even, 0] = along[blue_rows, even], down[blue_rows, even]
    return out


def spectrum_transfer(pixels: Pixels, strength: float, limit: float) -> Pixels:
    """Return the picture with the amplitudes of photographs.

    The picture is mirrored to twice its sides; a(f) is the mean amplitude of its luma in rings of radial frequency f,
    t(f) that of photographs (`SPECTRUM`), both divided by their mean up to 0.06 cycles a pixel. Every channel's
    spectrum is multiplied by ``(t(f) / a(f))^strength``, held within ``1 / limit`` and `limit`, by 1 below 0.06.

    Parameters
    ----------
    pixels : numpy.ndarray, shape (height, width, 3), uint8
    strength : float
        Above 0, at most 1.
    limit : float
        At least 1.
    """
    from scipy import fft

    height, width = pixels.shape[:2]
    channels = np.moveaxis(pixels, 2, 0).astype(np.float32)
    mirrored = np.pad(channels, ((0, 0), (0, height), (0, width)), mode="symmetric")
    spectra = fft.rfft2(mirrored)
    radius = np.hypot(fft.fftfreq(2 * height)[:, None], fft.rfftfreq(2 * width)[None, :])
    own = radial_spectrum(np.abs(np.tensordot((0.299, 0.587, 0.114), spectra, 1)), radius)
    gain = np.clip((np.array(SPECTRUM) / own) ** strength, 1 / limit, limit)
    gain[ring_radii() < REFERENCE] = 1
    spectra *= np.interp(radius, ring_radii(), gain).astype(np.float32)
    return levels(np.moveaxis(fft.irfft2(spectra, mirrored.shape[1:])[:, :height, :width], 0, 2))


REFERENCE = 0.06
"""Cycles a pixel up to which the spectrum is left, and by whose mean it is divided."""
RINGS = 48
"""Rings of radial frequency, of equal width from 0 to 0.5 cycles a pixel; the corners count to the last one."""


def ring_radii() -> NDArray[np.float64]:
    """Return the middle frequency of each ring, cycles a pixel, shape (RINGS,)."""
    return (np.arange(RINGS) + 0.5) * 0.5 / RINGS


def radial_spectrum(amplitude: NDArray[np.floating], radius: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean amplitude in each ring over that up to `REFERENCE`, shape (RINGS,); 1 where a ring has none."""
    ring = np.minimum((radius * 2 * RINGS).astype(int), RINGS - 1).ravel()
    taken = (radius > 0).ravel()
    count = np.bincount(ring[taken], minlength=RINGS)
    total = np.bincount(ring[taken], weights=amplitude.ravel()[taken], minlength=RINGS)
    low = ring_radii() < REFERENCE
    base = total[low].sum() / max(count[low].sum(), 1)
    mean = np.divide(total, count, out=np.zeros(RINGS), where=count > 0)
    return np.where((mean > 0) & (base > 0), mean / base if base > 0 else 1.0, 1.0)


def histogram_match(pixels: Pixels, strength: float) -> Pixels:
    """Return the picture with each channel's levels mapped to the mean histogram of photographs.

    Level v goes to ``(1 - strength) v + strength Q(F(v))``: F is the share of the channel's pixels below v and half of
    those at v, Q the quantiles of photographs (`QUANTILES`), between which it is linear. The map of a channel is
    monotone (R. C. Gonzalez and R. E. Woods, *Digital Image Processing*, 4th edition 2018, ISBN 978-0-13-335672-4,
    section 3.3).

    Parameters
    ----------
    pixels : numpy.ndarray, shape (height, width, 3), uint8
    strength : float
        Above 0, at most 1.
    """
    out = np.empty_like(pixels, order="C")
    for channel, quantiles in enumerate(QUANTILES):
        count = np.bincount(pixels[..., channel].ravel(), minlength=256)
        share = (np.cumsum(count) - count / 2) / count.sum()
        target = np.interp(share, np.linspace(0, 1, len(quantiles)), quantiles)
        out[..., channel] = levels((1 - strength) * np.arange(256) + strength * target)[pixels[..., channel]]
    return out


def sharpen(pixels: Pixels, factor: float, steps: int, amount: float) -> Pixels:
    """Return the picture reduced, restored by back-projection, and sharpened.

    y is the picture reduced by `factor` (bicubic), x its Lanczos enlargement; then, `steps` times,
    ``x <- x + up(y - down(x))`` (M. Irani and S. Peleg, 1991, doi:10.1016/1049-9652(91)90045-L), and last
    ``x + amount (x - g * x)`` with g a Gaussian of 1 pixel.

    Parameters
    ----------
    pixels : numpy.ndarray, shape (height, width, 3), uint8
    factor : float
        At least 1.
    steps : int
    amount : float
    """
    from scipy.ndimage import gaussian_filter

    size = pixels.shape[1], pixels.shape[0]
    small = tuple(max(1, round(side / factor)) for side in size)
    out = np.empty(pixels.shape, np.uint8)
    for channel in range(3):
        given = _resized(pixels[..., channel].astype(np.float32), small, "bicubic")
        plane = _resized(given, size, "lanczos")
        for _ in range(steps):
            plane = plane + _resized(given - _resized(plane, small, "bicubic"), size, "bicubic")
        out[..., channel] = levels(plane + np.float32(amount) * (plane - gaussian_filter(plane, 1.0)))
    return out


def _resized(plane: Plane, size: tuple[int, ...], filter: str) -> Plane:
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(plane))
    return np.asarray(image.resize((size[0], size[1]), Image.Resampling[filter.upper()]))
