"""A local function laid over a map of any size window by window, so that memory does not grow with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

AT_ONCE = 16
"""Windows that are handed over together."""

Map = NDArray[Any]
Run = Callable[[Sequence[Map]], Sequence[Map]]
"""Windows (height, width, channels), all of one size, to what is made of each."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What a function makes of a map, and how far it looks.

    Parameters
    ----------
    margin : int
        Elements of the input next to a cut, where the function would give something else than inside the whole
        map; a multiple of `down`.
    channels : int
        Of the output.
    down, up : int
        So many elements of the input make so many of the output, along each axis.
    """

    margin: int
    channels: int
    down: int = 1
    up: int = 1

    def out(self, place: int) -> int:
        """Return the place in the output of a place in the input."""
        return place // self.down * self.up


def over(whole: Map, run: Run, reach: Reach, side: int, dtype: type = np.float32) -> Map:
    """Return what a function makes of a map, computed on windows that overlap.

    What a window gives nearer than the margin to one of its cuts is thrown away, so that the result is that of the
    whole map; the function meets the map's own border where it is.

    Parameters
    ----------
    whole : numpy.ndarray, shape (height, width, channels)
        Sides are multiples of ``reach.down``.
    run : callable
    reach : Reach
    side : int
        At most, of a window in elements of the input, a multiple of ``reach.down`` and more than twice the margin.
    dtype : numpy dtype
        Of the output.

    Returns
    -------
    numpy.ndarray, shape (height * up / down, width * up / down, channels), `dtype`
    """
    height, width = whole.shape[:2]
    made: Map = np.empty((reach.out(height), reach.out(width), reach.channels), dtype)
    places = product(_spans(height, side, reach), _spans(width, side, reach))
    while group := list(islice(places, AT_ONCE)):
        windows = [whole[rows.start : rows.stop, columns.start : columns.stop] for rows, columns in group]
        for (rows, columns), part in zip(group, run(windows), strict=True):
            made[rows.kept_in(reach), columns.kept_in(reach)] = part[rows.kept_of(reach), columns.kept_of(reach)]
    return made


@dataclass(frozen=True, slots=True)
class _Span:
    """A window along one axis, and what of it is kept, in elements of the input."""

    start: int
    stop: int
    first: int
    last: int

    def kept_in(self, reach: Reach) -> slice:
        """Return the place in the output of what is kept."""
        return slice(reach.out(self.first), reach.out(self.last))

    def kept_of(self, reach: Reach) -> slice:
        """Return what is kept of the window's own output."""
        return slice(reach.out(self.first - self.start), reach.out(self.last - self.start))


def _spans(length: int, side: int, reach: Reach) -> Iterator[_Span]:
    """Yield the windows along an axis: no more than needed, all of one length, and none longer than needed."""
    both = 2 * reach.margin
    count = max(1, -(-(length - both) // (side - both)))
    side = -(-(length + (count - 1) * both) // (count * reach.down)) * reach.down
    done = 0
    while done < length:
        start = min(max(0, done - reach.margin), length - side)
        stop = start + side
        last = stop if stop == length else stop - reach.margin
        yield _Span(start, stop, done, last)
        done = last
