"""How graphics differ from photographs: thirteen figures of neighbouring pixels, and a fitted quadratic score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from d2f_preconditions.fitted import PHOTOGRAPHIC
from d2f_preconditions.sampling import luma, octave_detail, windows

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
    how far the mean place within the span is from its middle, 0 to 0.5. Of octaves (`octave_detail` of
    `d2f_preconditions.sampling`): `coarse`, the second over the fourth; `quietest`, the first of the window with
    least; `dullest`, the least ratio of first to second.
    """
    sums = dict.fromkeys(("energy", "smooth", "one", "two", "hue", "bends", "spans", "count"), 0.0)
    levels, octaves = np.zeros(256), []
    flat, places = [np.zeros(0, np.bool_)], [np.zeros((0, 2), np.float32)]
    for _, _, window in windows(pixels):
        plane = luma(window)
        _add_neighbours(sums, window, plane)
        levels += np.bincount(np.rint(plane).astype(np.uint8).ravel(), minlength=256)
        octaves.append(octave_detail(plane))
        flat.append(_flat_blocks(window))
        places.append(_places(plane))
    mode, second = _peaks(levels / levels.sum())
    detail, busy, count = np.array(octaves) + 0.02, np.concatenate(places), max(sums["count"], 1.0)
    return {
        "smooth": sums["smooth"] / count,
        "flat": float(np.concatenate(flat).mean()) if sum(map(len, flat)) else 1.0,
        "hue": sums["hue"] / max(sums["one"], 0.01 * count),
        "mode": mode,
        "second": second,
        "coarse": float(detail[:, 1].sum() / detail[:, 3].sum()),
        "energy": sums["energy"] / count,
        "near": sums["one"] / max(sums["two"], 0.01 * count),
        "between": float(busy[:, 0].mean()) if len(busy) >= 5 else 0.0,
        "lopsided": float(abs(busy[:, 1].mean() - 0.5)) if len(busy) >= 5 else 0.0,
        "line": sums["bends"] / max(sums["spans"], 0.01 * count),
        "quietest": float(detail[:, 0].min()),
        "dullest": float((detail[:, 0] / detail[:, 1]).min()),
    }


def _add_neighbours(sums: dict[str, float], window: Pixels, plane: Plane) -> None:
    """Add a window's sums of differences; `count` is the number of triples of neighbours."""
    values = window.astype(np.int16)
    blue, red = (values[..., at] - plane for at in (2, 0))
    for axis in (0, 1):
        if window.shape[axis] < 5:
            continue
        steps = np.diff(values, axis=axis)
        bends = np.abs(np.diff(steps, axis=axis)).max(axis=-1)
        # Means times the number of triples, so that every figure has the same weight for a pixel.
        sums["count"] += bends.size
        sums["smooth"] += np.count_nonzero(bends <= 2)
        sums["energy"] += float(np.abs(steps).max(axis=-1).mean()) * bends.size
        sums["hue"] += float(0.564 * _mean_step(blue, 1, axis) + 0.713 * _mean_step(red, 1, axis)) * bends.size
        sums["one"] += _mean_step(plane, 1, axis) * bends.size
        sums["two"] += _mean_step(plane, 2, axis) * bends.size
        sums["spans"] += _mean_step(plane, 4, axis) * bends.size
        turned = plane.T if axis == 0 else plane
        sums["bends"] += float(np.abs(turned[:, 4:] + turned[:, :-4] - 2 * turned[:, 2:-2]).mean()) * bends.size


def _mean_step(plane: Plane, apart: int, axis: int) -> float:
    turned = plane.T if axis == 0 else plane
    return float(np.abs(turned[:, apart:] - turned[:, :-apart]).mean())


def _flat_blocks(window: Pixels) -> NDArray[np.bool_]:
    """Return which whole 8x8 blocks are flat, shape (n,)."""
    height, width = window.shape[0] // 8 * 8, window.shape[1] // 8 * 8
    if not height or not width:
        return np.zeros(0, np.bool_)
    blocks = window[:height, :width].reshape(height // 8, 8, width // 8, 8, 3)
    spans = blocks.max(axis=(1, 3)) - blocks.min(axis=(1, 3))
    flat: NDArray[np.bool_] = (spans <= 3).all(axis=-1).ravel()
    return flat


def _places(plane: Plane) -> Plane:
    """Return, for each busy 8x8 block, the share of its pixels between its ends and their mean place, shape (n, 2)."""
    height, width = plane.shape[0] // 8 * 8, plane.shape[1] // 8 * 8
    if not height or not width:
        return np.zeros((0, 2), np.float32)
    blocks = plane[:height, :width].reshape(height // 8, 8, width // 8, 8).transpose(0, 2, 1, 3).reshape(-1, 64)
    low = blocks.min(axis=1, keepdims=True)
    span = blocks.max(axis=1, keepdims=True) - low
    busy = span[:, 0] > 20
    place = (blocks[busy] - low[busy]) / span[busy]
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
