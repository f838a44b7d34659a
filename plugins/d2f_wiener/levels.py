"""wiener2 on 8-bit pictures: exact window sums in integers, the rest in float32."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from d2f_wiener.boxes import box_sums, padded_strips
from d2f_wiener.filter import check, wiener2

WHITE = 255.0
INTEGER_WINDOW = 256
"""Most elements of a window whose 255² n² fits 32 bits."""

KEPT = 50_000_000
"""Levels of a picture up to which sums are kept while the noise is estimated; beyond, they are made twice."""

Moments: TypeAlias = tuple[slice, NDArray[np.uint16], NDArray[np.uint32]]


def wiener2_levels(
    image: NDArray[np.uint8], window: tuple[int, int] = (3, 3), noise: float | None = None
) -> NDArray[np.float32]:
    """Filter a picture of 8-bit grey levels, each channel alone.

    The formula is `d2f_wiener.filter.wiener2`'s. For a window of n elements the sums S of levels and Q of their
    squares are exact integers, and so is n² v = n Q - S²; a flat window has variance zero exactly.

    Parameters
    ----------
    image : numpy.ndarray, shape (height, width) or (height, width, channels), uint8
    window : (int, int)
        Rows and columns, at least 1.
    noise : float, optional
        Variance of the noise for pixels in [0, 1], as in MATLAB. Default: each channel's mean local variance.

    Returns
    -------
    numpy.ndarray, shape of `image`, float32
        Grey levels in [0, 255], within 0.01 of the formula in float64; not rounded.

    Raises
    ------
    ValueError
        A side of `window` below 1, or `noise` negative.

    Examples
    --------
    >>> wiener2_levels(np.full((3, 3), 90, np.uint8), noise=1.0)
    array([[40., 60., 40.],
           [60., 90., 60.],
           [40., 60., 40.]], dtype=float32)
    """
    out = np.empty(image.shape, np.float32)
    _fill(out, image, window, noise)
    return out


def wiener2_rounded(
    image: NDArray[np.uint8], window: tuple[int, int] = (3, 3), noise: float | None = None
) -> NDArray[np.uint8]:
    """Return `wiener2_levels` rounded half to even; parameters and errors are the same.

    Examples
    --------
    >>> wiener2_rounded(np.array([[10, 10, 10], [10, 40, 10], [10, 10, 10]], np.uint8), noise=1.0)[1, 1]
    np.uint8(13)
    """
    out = np.empty(image.shape, np.uint8)
    _fill(out, image, window, noise)
    return out


def _fill(out: NDArray[Any], image: NDArray[np.uint8], window: tuple[int, int], noise: float | None) -> None:
    """Write the filtered picture into `out`, rounded where `out` holds integers."""
    check(window, noise)
    rows = out.reshape(len(out), -1)
    for part, levels in _strips(image, window, noise):
        # Between local mean and pixel, so that there is nothing to clip.
        rows[part] = np.rint(levels, out=levels) if out.dtype == np.uint8 else levels


def _strips(
    image: NDArray[np.uint8], window: tuple[int, int], noise: float | None
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield rows of the filtered picture, channels interleaved."""
    height, width = image.shape[:2]
    if window[0] * window[1] > INTEGER_WINDOW:
        yield slice(None), _by_planes(image, window, noise).reshape(height, -1)
        return
    rows = image.reshape(height, -1)
    channels = rows.shape[1] // width
    share = np.float32(1.0 / (window[0] * window[1]))
    moments: Iterable[Moments] = _exact_moments(rows, window, channels)
    if noise is None:
        if rows.size <= KEPT:
            moments = list(moments)
        power = _mean_spread(moments, rows.shape, channels)
        moments = moments if rows.size <= KEPT else _exact_moments(rows, window, channels)
    else:
        power = np.full(channels, noise * (WHITE * window[0] * window[1]) ** 2)
    wide = np.tile(power.astype(np.float32), width)
    for part, sums, spread in moments:
        yield part, _shrunk(rows[part], sums * share, spread.astype(np.float32), wide)


def _exact_moments(rows: NDArray[np.uint8], window: tuple[int, int], channels: int) -> Iterator[Moments]:
    """Yield S and n Q - S² of every window; S is at most 255 * 256, n Q at most 255² * 256²."""
    count = np.uint32(window[0] * window[1])
    for part, strip in padded_strips(rows, window, np.uint16, channels):
        sums = box_sums(strip, window, channels)
        spread = box_sums(np.multiply(strip, strip, dtype=np.uint32), window, channels) * count
        spread -= np.square(sums, dtype=np.uint32)
        # The sums of a window of one are the strip itself, which is written anew.
        yield part, sums.copy() if np.shares_memory(sums, strip) else sums, spread


def _mean_spread(moments: Iterable[Moments], shape: tuple[int, ...], channels: int) -> NDArray[np.float64]:
    """Return the mean of n Q - S² of each channel."""
    total = np.zeros(shape[1], np.uint64)
    for _, _, spread in moments:
        # Column sums first: numpy adds whole rows fast, and three interleaved channels slowly.
        total += spread.sum(axis=0, dtype=np.uint64)
    by_channel: NDArray[np.float64] = total.reshape(-1, channels).sum(axis=0) / (shape[0] * shape[1] // channels)
    return by_channel


def _shrunk(
    pixels: NDArray[np.uint8], mean: NDArray[np.float32], spread: NDArray[np.float32], power: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return x + (m - x) * s / max(v, s), written over `mean`; `spread` is n² v and `power` n² s of each column."""
    np.maximum(spread, power, out=spread)
    # Zero over zero: a flat window without noise. There x = m, so that any finite quotient gives the mean.
    np.maximum(spread, np.float32(1e-30), out=spread)
    pull = np.divide(power, spread, out=spread)
    levels = pixels.astype(np.float32)
    mean -= levels
    mean *= pull
    mean += levels
    return mean


def _by_planes(image: NDArray[np.uint8], window: tuple[int, int], noise: float | None) -> NDArray[np.float32]:
    """Filter channel by channel in float64, where sums of grey levels are still exact."""
    out = np.empty(image.shape, np.float32)
    planes = image.reshape(*image.shape[:2], -1)
    power = None if noise is None else noise * WHITE**2
    for channel in range(planes.shape[2]):
        out.reshape(planes.shape)[..., channel] = wiener2(planes[..., channel], window, power)
    return out
