"""Sums over a sliding window of an array, strip by strip."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

STRIP = 1 << 16
"""Elements a strip: a few arrays of that many stay in a processor's second-level cache."""


def window_sums(array: NDArray[Any], length: int, axis: int, step: int = 1) -> NDArray[Any]:
    """Sum `length` elements, `step` apart, at every place along an axis where they all lie inside.

    Sums of 1, 2, 4, … elements are made by doubling and put together by the binary digits of `length`:
    about 2 log2(length) additions an element, and none of the cancellation of running sums.

    Parameters
    ----------
    array : numpy.ndarray, shape (rows, columns), any number type
    length : int
        At least 1; ``(length - 1) * step`` less than the axis.
    axis : {0, 1}
    step : int
        Distance of neighbours, at least 1: the channels of an interleaved image are 3 apart.

    Returns
    -------
    numpy.ndarray
        Same type, the axis shorter by ``(length - 1) * step``. May share memory with `array`.

    Examples
    --------
    >>> window_sums(np.array([[1, 2, 3, 4]]), 3, axis=1)
    array([[6, 9]])
    """
    size = array.shape[axis] - (length - 1) * step
    block, width, offset = array, 1, 0
    total: NDArray[Any] | None = None
    while True:
        if length & width:
            part = _cut(block, offset, size, axis)
            total = part if total is None else total + part
            offset += width * step
        if 2 * width > length:
            assert total is not None  # the highest digit of `length` is set
            return total
        rest = block.shape[axis] - width * step
        block = _cut(block, 0, rest, axis) + _cut(block, width * step, rest, axis)
        width *= 2


def _cut(array: NDArray[Any], start: int, size: int, axis: int) -> NDArray[Any]:
    return array[start : start + size] if axis == 0 else array[:, start : start + size]


def box_sums(strip: NDArray[Any], window: tuple[int, int], step: int = 1) -> NDArray[Any]:
    """Sum every window of `window` = (rows, columns) that lies inside `strip`; columns are `step` apart."""
    return window_sums(window_sums(strip, window[0], 0), window[1], 1, step)


def padded_strips(
    plane: NDArray[Any], window: tuple[int, int], dtype: type[Any], step: int = 1
) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Cut a plane into strips of rows, each with the zero-padded margin that the window reaches into.

    A window of even length reaches one element further down and right than up and left, as ``conv2(…,
    'same')`` has it in MATLAB and Octave.

    Parameters
    ----------
    plane : numpy.ndarray, shape (height, width)
    window : (int, int)
        Rows and columns, at least 1.
    dtype : numpy dtype
        Of the strips.
    step : int
        Distance of neighbouring columns.

    Yields
    ------
    slice
        The rows of `plane` that the strip is centred on.
    numpy.ndarray, shape (rows + window[0] - 1, width + (window[1] - 1) * step)
        One buffer, written anew for each strip.
    """
    height, width = plane.shape
    above, left = (window[0] - 1) // 2, (window[1] - 1) // 2 * step
    rows = min(height, max(16, STRIP // width))
    buffer = np.zeros((rows + window[0] - 1, width + (window[1] - 1) * step), dtype)
    for start in range(0, height, rows):
        stop = min(start + rows, height)
        strip = buffer[: stop - start + window[0] - 1]
        first, last = max(start - above, 0), min(stop - above + window[0] - 1, height)
        margin = first - (start - above)
        strip[:margin] = 0
        strip[margin + last - first :] = 0
        strip[margin : margin + last - first, left : left + width] = plane[first:last]
        yield slice(start, stop), strip
