"""Resampling by Pillow's convolution filters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def target_size(size: tuple[int, int], factor: float | None = None, longest: int | None = None) -> tuple[int, int]:
    """Return the sides of the resized picture, rounded half to even, at least 1.

    Parameters
    ----------
    size : (int, int)
        Width and height in pixels.
    factor : float, optional
        Both sides times this.
    longest : int, optional
        Without `factor`: the longest side at most this many pixels, never enlarged.

    Returns
    -------
    (int, int)
        Width and height.

    Examples
    --------
    >>> target_size((641, 480), factor=0.5)
    (320, 240)
    >>> target_size((4000, 3000), longest=768)
    (768, 576)
    >>> target_size((320, 240), longest=768)
    (320, 240)
    """
    width, height = size
    if factor is not None:
        return max(1, round(width * factor)), max(1, round(height * factor))
    if longest is None or max(size) <= longest:
        return size
    return tuple(max(1, round(side * longest / max(size))) for side in size)  # type: ignore[return-value]


def resample(image: NDArray[np.uint8], size: tuple[int, int], filter: str = "bicubic") -> NDArray[np.uint8]:
    """Resample to a size.

    Each output pixel is a weighted mean of the input around it, in one direction and then the other, with the filter
    widened by the factor of reduction, so that a smaller picture is not aliased (except by `nearest`). The kernels:
    box, triangle (`bilinear`), Hamming-windowed sinc of radius 1, cubic convolution with a = -0.5 (R. G.
    Keys, 1981, doi:10.1109/TASSP.1981.1163711) and Lanczos-windowed sinc of radius 3 (C. E. Duchon, 1979,
    doi:10.1175/1520-0450(1979)018<1016:LFIOAT>2.0.CO;2).

    Parameters
    ----------
    image : numpy.ndarray, shape (height, width, 3), uint8
    size : (int, int)
        Width and height of the result in pixels, at least 1.
    filter : {'nearest', 'box', 'bilinear', 'hamming', 'bicubic', 'lanczos'}

    Returns
    -------
    numpy.ndarray, shape (size[1], size[0], 3), uint8
        Pillow's fixed-point arithmetic, rounded to the nearest level after each direction.

    Examples
    --------
    >>> stripes = np.array([[[0] * 3, [100] * 3, [200] * 3, [100] * 3]], np.uint8)
    >>> resample(stripes, (2, 1), "box")[0, :, 0]
    array([ 50, 150], dtype=uint8)
    """
    if size == (image.shape[1], image.shape[0]):
        return image.copy()
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.array(picture.resize(size, Image.Resampling[filter.upper()]))
