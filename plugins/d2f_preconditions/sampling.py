"""Where the checks look: windows at the picture's own scale, and a coarse grid of its pixels. Deterministic."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from d2f import Pixels

    Levels = NDArray[np.uint8]
    Floats = NDArray[np.float32]

SIDE, ACROSS = 144, 3
"""Side of a window in pixels; windows in each direction, at most."""

_latest = threading.local()


@dataclass(frozen=True, slots=True)
class Profiles:
    """Figures of a picture's windows that several checks compare.

    Attributes
    ----------
    tops, lefts : tuple of int
        Where the n windows begin.
    height, width : int
        Of a window.
    octaves : numpy.ndarray, shape (n, 4), float64
        Detail: the mean absolute deviation from means of 2x2 pixels, of the luma halved 0 to 3 times; 0 of octaves that
        a window is too small for.
    steps : mapping
        By distance (1, 2, 4) and axis, the mean absolute difference of luma so far apart, of rows (axis 0, shape
        (n, height - distance)) and of columns (axis 1).
    planes : numpy.ndarray, shape (n, height, width), float32
        The windows' luma.
    """

    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    height: int
    width: int
    octaves: NDArray[np.float64]
    steps: Mapping[tuple[int, int], Floats]
    planes: Floats


def profiles(pixels: Pixels, planes: Floats | None = None) -> Profiles:
    """Return the profiles of a picture, of this thread's latest one again; `planes`: its windows' luma, where known."""
    kept: tuple[Any, Profiles] | None = getattr(_latest, "kept", None)
    if kept is not None and kept[0]() is pixels and not pixels.flags.writeable:
        return kept[1]
    planes = luma(windows(pixels)) if planes is None else planes
    height, width = planes.shape[1:]
    steps = {(apart, axis): mean_steps(planes, apart, axis) for apart in (1, 2, 4) for axis in (0, 1)}
    tops, lefts = zip(*_places(pixels), strict=True)
    found = Profiles(tops, lefts, height, width, _octaves(planes), steps, planes)
    _latest.kept = weakref.ref(pixels), found
    return found


def windows(pixels: Pixels) -> Levels:
    """Return at most 9 windows of 144x144 pixels, spread evenly, smaller where a side is: (3, n, height, width)."""
    height, width = (min(SIDE, length) for length in pixels.shape[:2])
    places = _places(pixels)
    found = np.empty((3, len(places), height, width), np.uint8)
    for at, (top, left) in enumerate(places):
        found[:, at] = pixels[top : top + SIDE, left : left + SIDE].transpose(2, 0, 1)
    return found


def _places(pixels: Pixels) -> list[tuple[int, int]]:
    return [(top, left) for top in _starts(pixels.shape[0]) for left in _starts(pixels.shape[1])]


def grid(pixels: Pixels, longest: int) -> Levels:
    """Return every k-th pixel in both directions, by channel, shape (3, height, width).

    k is such that the longest side is about `longest`, at least 1.
    """
    step = max(1, round(max(pixels.shape[:2]) / longest))
    return pixels[step // 2 :: step, step // 2 :: step].transpose(2, 0, 1).copy()


def _octaves(plane: Floats) -> NDArray[np.float64]:
    found = np.zeros((len(plane), 4))
    for octave in range(4):
        count, height, width = len(plane), plane.shape[1] // 2, plane.shape[2] // 2
        if not height or not width:
            break
        squares = plane[:, : 2 * height, : 2 * width].reshape(count, height, 2, width, 2)
        corners = np.ascontiguousarray(squares.transpose(2, 4, 0, 1, 3)).reshape(4, count, height, width)
        plane = corners.sum(axis=0) / np.float32(4)
        corners -= plane
        found[:, octave] = np.abs(corners, out=corners).mean(axis=(2, 3)).mean(axis=0)
    return found


def _starts(length: int) -> list[int]:
    count = min(ACROSS, -(-length // SIDE))
    if length <= SIDE:
        return [0]
    return [at * (length - SIDE) // (count - 1) for at in range(count)]


def luma(channels: NDArray[np.generic]) -> Floats:
    """Return the luma of ITU-R BT.601 of red, green and blue (the first axis), float32 0..255."""
    found = channels[0] * np.float32(0.299)
    found += channels[1] * np.float32(0.587)
    found += channels[2] * np.float32(0.114)
    return found  # type: ignore[no-any-return]


def mean_steps(planes: Floats, apart: int, axis: int) -> Floats:
    """Return the mean absolute difference of rows (`axis` 0) or columns `apart`, of planes (n, height, width).

    Shape (n, length - apart), with no value where the length is not larger.
    """
    if planes.shape[axis + 1] <= apart:
        return np.zeros((len(planes), 0), np.float32)
    near = planes[:, apart:] if axis == 0 else planes[:, :, apart:]
    differences = near - (planes[:, :-apart] if axis == 0 else planes[:, :, :-apart])
    return np.abs(differences, out=differences).mean(axis=2 - axis)  # type: ignore[no-any-return]


def over_blocks(function: np.ufunc, planes: NDArray[Any]) -> NDArray[Any]:
    """Combine the values of each whole 8x8 block of planes (…, height, width), shape (…, height // 8, width // 8)."""
    height, width = planes.shape[-2] // 8, planes.shape[-1] // 8
    rows = planes[..., : 8 * height, : 8 * width].reshape(*planes.shape[:-2], height, 8, 8 * width)
    found = function.reduce(rows, axis=-2)
    for _ in range(3):  # a reduction over a short last axis takes ten times as long
        found = function(found[..., ::2], found[..., 1::2])
    return found  # type: ignore[no-any-return]
