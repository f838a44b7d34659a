"""How graphics differ from photographs: thirteen figures of neighbouring pixels, and a fitted quadratic score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from d2f_preconditions.fitted import PHOTOGRAPHIC
from d2f_preconditions.sampling import Profiles, luma, mean_steps, over_blocks, profiles, windows

if TYPE_CHECKING:
    from d2f import Pixels

    Plane = NDArray[np.float32]

SHARES = ("smooth", "flat", "mode", "second")
"""Figures that are shares of pixels or blocks."""

WORDS = {
    "smooth": "{:.0%} of its pixels lie on a straight ramp of their neighbours",
    "flat": "{:.0%} of its 8x8 blocks are of one colour",
    "hue": "colours change {:.2f} times as much as brightness",
    "mode": "{:.0%} of its pixels have one brightness",
    "second": "{:.0%} of its pixels have a second brightness",
    "coarse": "its detail is spread over scales as no photograph's is ({:.2f})",
    "energy": "neighbouring pixels differ by {:.1f} levels",
    "near": "neighbouring pixels differ by {:.2f} of what pixels two apart do",
    "between": "{:.0%} of the pixels in its busy blocks lie between two tones",
    "lopsided": "its busy blocks are strokes on a ground ({:.2f} off the middle)",
    "line": "thin lines make up {:.2f} of its contrast",
    "quietest": "its quietest part has detail of {:.2f} levels",
    "dullest": "its softest part has {:.2f} of the fine detail that goes with its contrast",
}
"""Each figure in words, for the reason."""


def graphics_statistics(pixels: Pixels) -> dict[str, float]:
    """Return thirteen figures of the windows.

    Of neighbours in rows and columns: `energy` is their mean absolute difference (largest channel); `smooth` the share
    of second differences of at most 2 levels in every channel; `near` the mean absolute difference of luma Y over that
    of pixels two apart; `hue` the mean |d(Cb)| + |d(Cr)| over the mean |d(Y)|; `line` the mean |Y(-2) - 2 Y(0) + Y(2)|
    over the mean |Y(2) - Y(-2)|. Of the levels of Y: `mode` the share of the most common nine in a row, `second` that
    of the next peak at least 13 away. Of 8x8 blocks: `flat` the share whose levels span at most 3 in every channel;
    in blocks whose Y spans more than 20, `between` the share of pixels in the middle half of the span, and `lopsided`
    how far the mean place within the span is from its middle, 0 to 0.5. Of octaves
    (`d2f_preconditions.sampling.Profiles`): `coarse`, the second over the fourth; `quietest`, the first of the window
    with least; `dullest`, the least ratio of first to second.
    """
    channels = windows(pixels)
    plane = luma(channels)
    shared = profiles(pixels, plane)
    mode, second = _peaks(_shares_of_levels(np.rint(plane).astype(np.uint8)))
    detail, busy, flat = shared.octaves + 0.02, _places(plane), _flat_blocks(channels)
    found = _of_neighbours(channels, plane, shared)
    return {
        "smooth": found["smooth"],
        "flat": float(flat.mean()) if flat.size else 1.0,
        "hue": found["hue"] / max(found["one"], 0.01),
        "mode": mode,
        "second": second,
        "coarse": float(detail[:, 1].sum() / detail[:, 3].sum()),
        "energy": found["energy"],
        "near": found["one"] / max(found["two"], 0.01),
        "between": float(busy[:, 0].mean()) if len(busy) >= 5 else 0.0,
        "lopsided": float(abs(busy[:, 1].mean() - 0.5)) if len(busy) >= 5 else 0.0,
        "line": found["bends"] / max(found["spans"], 0.01),
        "quietest": float(detail[:, 0].min()),
        "dullest": float((detail[:, 0] / detail[:, 1]).min()),
    }


def _of_neighbours(channels: Pixels, plane: Plane, shared: Profiles) -> dict[str, float]:
    """Return means over triples of neighbours in both directions, so that each figure has one weight for a pixel."""
    found = dict.fromkeys(("smooth", "energy", "hue", "one", "two", "spans", "bends"), 0.0)
    sides = [axis for axis in (0, 1) if plane.shape[axis + 1] >= 5]
    counts = {axis: plane.size // plane.shape[axis + 1] * (plane.shape[axis + 1] - 2) for axis in sides}
    blue, red = (channels[at] - plane for at in (2, 0))
    for axis in sides:
        share = counts[axis] / sum(counts.values())
        smooth, largest = _steps_and_bends(channels, axis)
        found["smooth"] += share * np.count_nonzero(smooth) / counts[axis]
        found["energy"] += share * float(_shares_of_levels(largest) @ np.arange(256))
        hue = 0.564 * mean_steps(blue, 1, axis).mean() + 0.713 * mean_steps(red, 1, axis).mean()
        found["hue"] += share * float(hue)
        for name, apart in (("one", 1), ("two", 2), ("spans", 4)):
            found[name] += share * float(shared.steps[apart, axis].mean())
        first, centre, last = (_moved(plane, at, 4, axis) for at in (0, 2, 4))
        lines = first + last
        lines -= centre
        lines -= centre
        found["bends"] += share * float(np.abs(lines, out=lines).mean())
    return found


def _steps_and_bends(channels: Pixels, axis: int) -> tuple[NDArray[np.bool_], Pixels]:
    """Return where second differences are at most 2 in every channel, and the largest first difference of each pixel.

    One channel after the other, so that what is worked on stays in the processor's cache.
    """
    smooth, largest = None, None
    for channel in channels:
        values = channel.astype(np.int16)
        steps = _moved(values, 1, 1, axis) - _moved(values, 0, 1, axis)
        bends = _moved(steps, 1, 1, axis) - _moved(steps, 0, 1, axis)
        bends += 2
        level = bends.view(np.uint16) <= 4
        np.abs(steps, out=steps)
        smooth = level if smooth is None else np.logical_and(smooth, level, out=smooth)
        largest = steps if largest is None else np.maximum(largest, steps, out=largest)
    assert smooth is not None
    assert largest is not None
    return smooth, largest.astype(np.uint8)


def _moved(planes: NDArray[Any], by: int, most: int, axis: int) -> NDArray[Any]:
    """Return planes (…, height, width) from row or column `by` on, as long as they are when moved by `most`."""
    length = planes.shape[axis - 2]
    part = slice(by, length - most + by)
    return planes[..., part, :] if axis == 0 else planes[..., part]


def _shares_of_levels(levels: Pixels) -> NDArray[np.float64]:
    """Return the shares of the levels 0 to 255, shape (256,); Pillow counts them faster than numpy."""
    flat = np.ascontiguousarray(levels).reshape(1, -1)
    return np.array(Image.fromarray(flat).histogram()) / levels.size


def _flat_blocks(windows: Pixels) -> NDArray[np.bool_]:
    """Return which whole 8x8 blocks are flat, shape (n,)."""
    spans = over_blocks(np.maximum, windows) - over_blocks(np.minimum, windows)
    flat: NDArray[np.bool_] = (spans <= 3).all(axis=0).ravel()
    return flat


def _places(planes: Plane) -> Plane:
    """Return, for each busy 8x8 block, the share of its pixels between its ends and their mean place, shape (n, 2)."""
    low, high = over_blocks(np.minimum, planes), over_blocks(np.maximum, planes)
    height, width = low.shape[1:]
    blocks = planes[:, : 8 * height, : 8 * width].reshape(len(planes), height, 8, width, 8).transpose(0, 1, 3, 2, 4)
    span = high - low
    busy = span > 20
    place = (blocks[busy].reshape(-1, 64) - low[busy][:, None]) / span[busy][:, None]
    between = ((place > 0.25) & (place < 0.75)).mean(axis=1, dtype=np.float32)
    return np.stack([between, place.mean(axis=1)], axis=1)


def _peaks(levels: NDArray[np.float64]) -> tuple[float, float]:
    """Return the largest sum of nine levels in a row, and the next that is at least 13 levels away."""
    near = np.convolve(levels, np.ones(9), "same")
    top = int(near.argmax())
    return float(near[top]), float(near[np.abs(np.arange(256) - top) > 12].max())


def transformed(found: Mapping[str, float]) -> NDArray[np.float64]:
    """Return the figures as the score takes them, shape (13,).

    Shares as ``log((p + 0.003) / (1.003 - p))``, `between`, `lopsided` and `line` as they are, others as
    ``log(x + 0.05)``.
    """
    return np.array(
        [
            np.log((found[name] + 0.003) / (1.003 - found[name]))
            if name in SHARES
            else (found[name] if name in ("between", "lopsided", "line") else np.log(found[name] + 0.05))
            for name in WORDS
        ]
    )


def _terms(found: Mapping[str, float]) -> NDArray[np.float64]:
    """Return what each figure adds to the score, shape (13,)."""
    middle, scale, linear, square = (np.array(PHOTOGRAPHIC[key]) for key in ("middle", "scale", "linear", "square"))
    z = (transformed(found) - middle) / scale
    terms: NDArray[np.float64] = linear * z + square * z**2
    return terms


def graphics_score(found: Mapping[str, float]) -> float:
    """Return the log-odds of a graphic against a photograph in the training images: ``b + sum(l z + s z^2)``.

    z are the figures, transformed and scaled to median 0 and deviation 1 of photographs; l, s and b are a logistic
    regression's (L2 penalty) in `d2f_preconditions.fitted`.
    """
    return float(PHOTOGRAPHIC["bias"][0] + _terms(found).sum())


def strongest(found: Mapping[str, float]) -> str:
    """Return the figure that adds most to the score, in words."""
    name = list(WORDS)[int(_terms(found).argmax())]
    return WORDS[name].format(found[name])
