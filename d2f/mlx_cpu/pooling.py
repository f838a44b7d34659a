"""Pooling by strided slices of the map, with mlx.nn's values and gradients.

For gradients the padded map is cut into stride x stride phases: all pixels of a phase meet the windows in the
same way, as many of them as the window has offsets of that phase, so that each offset is one shifted map.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from typing import NamedTuple

import mlx.core as mx

from d2f.mlx_cpu.forms import Window, crop

Extent = tuple[int, int]


def max_pool(x: mx.array, window: Window, beyond: Extent = (0, 0)) -> mx.array:
    """Return the largest value under each place of the window.

    `x` mlx.core.array, shape (n, height, width, channels), float32; returns mlx.core.array, shape (n, height',
    width', channels).
    """
    stream = mx.default_stream(mx.default_device())
    grid = _Grid.of(x.shape, window, beyond)

    @mx.custom_function
    def apply(x: mx.array) -> mx.array:
        padded = window.pad(x, *beyond, value=-float("inf"))
        return _over_windows(mx.maximum, padded, grid)

    @apply.vjp
    def gradient(x: mx.array, cotangent: mx.array, output: mx.array) -> mx.array:
        with mx.stream(stream):
            padded = grid.fill(window.pad(x, *beyond, value=-float("inf")))
            largest = grid.frame(output, float("inf"))
            # 1 where a pixel is the largest of its window, 0 elsewhere.
            hits = [(grid.phase(padded, o) == grid.shifted(largest, o)).astype(x.dtype) for o in grid.offsets()]
            places = [grid.places_of(hit, o) for hit, o in zip(hits, grid.offsets(), strict=True)]
            share = grid.frame(cotangent / reduce(mx.add, places), 0.0)
            shares = [hit * grid.shifted(share, o) for hit, o in zip(hits, grid.offsets(), strict=True)]
            return crop(grid.woven(shares), *window.padding, *x.shape[1:3])

    return apply(x)


def average_pool(x: mx.array, window: Window) -> mx.array:
    """Return the mean under each place of the window, its margins counting as zeros."""
    stream = mx.default_stream(mx.default_device())
    grid = _Grid.of(x.shape, window, (0, 0))
    part = 1.0 / (window.kernel[0] * window.kernel[1])

    @mx.custom_function
    def apply(x: mx.array) -> mx.array:
        return _over_windows(mx.add, window.pad(x), grid) * part

    @apply.vjp
    def gradient(x: mx.array, cotangent: mx.array, _: mx.array) -> mx.array:
        with mx.stream(stream):
            share = grid.frame(cotangent * part, 0.0)
            shares = [grid.shifted(share, offset) for offset in grid.offsets()]
            return crop(grid.woven(shares), *window.padding, *x.shape[1:3])

    return apply(x)


def _over_windows(function: object, padded: mx.array, grid: _Grid) -> mx.array:
    """Combine the values of each window, first down, then across."""
    (down, across), (height, width) = grid.window.kernel, grid.places
    step_down, step_across = grid.window.stride
    last = step_down * (height - 1) + 1
    tall = reduce(function, [padded[:, k : k + last : step_down] for k in range(down)])  # type: ignore[call-overload]
    last = step_across * (width - 1) + 1
    return reduce(function, [tall[:, :, k : k + last : step_across] for k in range(across)])  # type: ignore[call-overload]


class _Grid(NamedTuple):
    """The pixels of one phase, (q, r), and where windows and their offsets are among them.

    The window at place (y, x) has at its offset (i, j) the pixel (y + i // stride, x + j // stride) of the phase
    (i % stride, j % stride).
    """

    window: Window
    places: Extent
    size: Extent
    reach: Extent

    @classmethod
    def of(cls, shape: tuple[int, ...], window: Window, beyond: Extent) -> _Grid:
        """Return the grid of maps of a shape (n, height, width, channels)."""
        padded = [shape[1 + k] + 2 * window.padding[k] + beyond[k] for k in (0, 1)]
        size = tuple(-(-padded[k] // window.stride[k]) for k in (0, 1))
        reach = tuple((window.kernel[k] - 1) // window.stride[k] for k in (0, 1))
        places = window.places(shape[1] + beyond[0], shape[2] + beyond[1])
        return cls(window, places, (size[0], size[1]), (reach[0], reach[1]))

    def offsets(self) -> Iterator[Extent]:
        """Yield the window's offsets, row by row."""
        yield from ((i, j) for i in range(self.window.kernel[0]) for j in range(self.window.kernel[1]))

    def fill(self, padded: mx.array) -> mx.array:
        """Return the padded map made long enough for all phases to be of one size."""
        missing = [self.size[k] * self.window.stride[k] - padded.shape[1 + k] for k in (0, 1)]
        return mx.pad(padded, ((0, 0), (0, missing[0]), (0, missing[1]), (0, 0))) if any(missing) else padded

    def frame(self, at_places: mx.array, value: float) -> mx.array:
        """Return a map of the places within margins of a value, so that every shift of it covers the grid."""
        after = [max(0, self.size[k] - self.places[k]) for k in (0, 1)]
        margins = ((0, 0), (self.reach[0], after[0]), (self.reach[1], after[1]), (0, 0))
        return mx.pad(at_places, margins, constant_values=mx.array(value))

    def phase(self, padded: mx.array, offset: Extent) -> mx.array:
        """Return the pixels (n, q, r, channels) of the phase that an offset is in."""
        (down, across), (i, j) = self.window.stride, offset
        return padded[:, i % down :: down, j % across :: across]

    def shifted(self, framed: mx.array, offset: Extent) -> mx.array:
        """Return, for each pixel of the offset's phase, what its window's place has in a framed map."""
        top, left = (self.reach[k] - offset[k] // self.window.stride[k] for k in (0, 1))
        return framed[:, top : top + self.size[0], left : left + self.size[1]]

    def places_of(self, pixels: mx.array, offset: Extent) -> mx.array:
        """Return, for each place, what the pixel at the offset has in a map of the phase's pixels."""
        top, left = (offset[k] // self.window.stride[k] for k in (0, 1))
        return pixels[:, top : top + self.places[0], left : left + self.places[1]]

    def woven(self, parts: list[mx.array]) -> mx.array:
        """Add up maps of pixels, one for each offset, phase by phase, and weave the phases together."""
        (down, across) = self.window.stride
        sums: dict[Extent, mx.array] = {}
        for (i, j), part in zip(self.offsets(), parts, strict=True):
            key = (i % down, j % across)
            sums[key] = sums[key] + part if key in sums else part
        empty = mx.zeros_like(parts[0])
        rows = [mx.stack([sums.get((a, b), empty) for b in range(across)], 3) for a in range(down)]
        images, height, width, channels = parts[0].shape
        return mx.stack(rows, 2).reshape(images, height * down, width * across, channels)
