"""MATLAB's and Octave's wiener2 on one plane of real numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2f_wiener.boxes import STRIP, box_sums, padded_strips


def wiener2(plane: NDArray[Any], window: tuple[int, int] = (3, 3), noise: float | None = None) -> NDArray[np.float64]:
    """Filter a plane by the pixelwise adaptive Wiener method.

    With mean m and variance v of the window around a pixel x, both over rows * columns elements and with
    zeros beyond the border, and with the variance s of the noise::

        y = m + max(0, v - s) / max(v, s) * (x - m)

    Where v and s are both zero the quotient is undefined, and y = m; Octave and SciPy give NaN there.
    y always lies between m and x, so that it is finite.

    Parameters
    ----------
    plane : numpy.ndarray, shape (height, width), any real type
        Finite; computed in float64. Rounding stays below 1e-9 for values in [0, 1].
    window : (int, int)
        Rows and columns, at least 1, odd or even. An even one reaches further down and right, as in MATLAB.
    noise : float, optional
        Variance of the noise in squared units of `plane`, at least 0. Default: the mean of v over the plane.

    Returns
    -------
    numpy.ndarray, shape (height, width), float64

    Raises
    ------
    ValueError
        `plane` not of two dimensions, a side of `window` below 1, or `noise` negative.

    Notes
    -----
    J. S. Lim, *Two-Dimensional Signal and Image Processing*, Prentice Hall 1990, ISBN 0-13-935322-4,
    p. 548, equations 9.44 to 9.46 (as MATLAB's wiener2 cites it). Equal to ``scipy.signal.wiener`` for odd windows.

    Examples
    --------
    >>> wiener2(np.array([[0.0, 0.0, 0.0], [0.0, 0.9, 0.0], [0.0, 0.0, 0.0]]), noise=0.04).round(3)
    array([[0.05, 0.05, 0.05],
           [0.05, 0.5 , 0.05],
           [0.05, 0.05, 0.05]])
    """
    check(window, noise)
    if plane.ndim != 2:
        raise ValueError(f"plane: 2 dimensions are needed, not {plane.ndim}")
    mean, variance = _local_moments(plane, window)
    power = float(variance.mean()) if noise is None else noise
    step = max(1, STRIP // plane.shape[1])
    for start in range(0, len(plane), step):
        part = slice(start, start + step)
        _shrink(plane[part], mean[part], variance[part], power)
    return mean


def check(window: tuple[int, int], noise: float | None) -> None:
    """Raise ValueError for a window without elements or noise of negative variance."""
    if min(window) < 1:
        raise ValueError(f"window: at least 1 a side, not {window}")
    if noise is not None and not noise >= 0:
        raise ValueError(f"noise: at least 0, not {noise}")


def _local_moments(plane: NDArray[Any], window: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    mean, variance = np.empty(plane.shape), np.empty(plane.shape)
    share = 1.0 / (window[0] * window[1])
    for rows, strip in padded_strips(plane, window, np.float64):
        np.multiply(box_sums(strip, window), share, out=mean[rows])
        np.multiply(box_sums(strip * strip, window), share, out=variance[rows])
        variance[rows] -= mean[rows] * mean[rows]
    # Rounding may leave a flat window a variance of -1e-17.
    return mean, np.maximum(variance, 0.0, out=variance)


def _shrink(pixels: NDArray[Any], mean: NDArray[np.float64], variance: NDArray[np.float64], noise: float) -> None:
    """Overwrite `mean` by x + (m - x) * s / max(v, s), the formula's form without a difference of variances."""
    if noise > 0:
        np.maximum(variance, noise, out=variance)
        np.divide(noise, variance, out=variance)
    else:
        variance[...] = variance == 0
    mean -= pixels
    mean *= variance
    mean += pixels
