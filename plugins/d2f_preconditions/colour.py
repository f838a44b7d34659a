"""Whether a picture has colours: more than grey, and more than shades of one tone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from d2f_preconditions.sampling import grid, luma, over_blocks

if TYPE_CHECKING:
    from d2f import Pixels

BLOCK = 8
"""Side of a block of the sampled picture; its mean hides noise and the errors of subsampled chroma."""
LEAST, MOST = 4, 251
"""Levels beyond which a block is not judged: colours are clipped there."""
GROUPS = 24
"""Groups of blocks of like luma, whose median chroma is the tone's curve."""


def colour_statistics(pixels: Pixels) -> dict[str, float]:
    """Return how far a picture's colours are from grey, and from one curve of chroma over luma.

    The picture is sampled to about 512 pixels and averaged over blocks of 8x8. `channels` is the 95th percentile of
    the largest difference of two channels' means; `areas` the same of areas of 4x4 blocks, in which strong noise of the
    three channels averages out. The rest is of blocks that are calm (the lower three quarters by the
    deviation of their luma) and hold no level below 4 or above 251, where those are at least 40: Y, Cb and Cr of
    ITU-R BT.601. The curve goes through the median chroma of 24 groups of equal count by Y, linear between and beyond;
    `tone` is the 90th percentile of the distance from it, `accent` the 98th, `chroma` the median distance from grey,
    `range` the span of Y between its 5th and 95th percentile. A toned picture has chroma, all of it on the curve, over
    a wide range of Y.
    """
    levels = grid(pixels, 512)
    means, calm, inner = _blocks(levels)
    taken = (calm <= np.quantile(calm, 0.75)) & inner
    chosen = means[:, taken] if np.count_nonzero(taken) >= 40 else means
    level = luma(chosen)
    order = np.argsort(level, kind="stable")
    level, chosen = level[order], chosen[:, order]
    chroma = np.stack([(chosen[2] - level) * 0.564, (chosen[0] - level) * 0.713], axis=1)
    distance = np.hypot(*(chroma - _curve(level, chroma)).T)
    tone, accent = np.percentile(distance, (90, 98))
    dark, light = np.percentile(level, (5, 95))
    return {
        "channels": float(np.percentile(np.ptp(means, axis=0), 95)),
        "areas": float(np.percentile(np.ptp(_areas(means, *levels.shape[1:]), axis=0), 95)),
        "tone": float(tone),
        "accent": float(accent),
        "chroma": float(np.median(np.hypot(*chroma.T))),
        "range": float(light) - float(dark),
    }


def _blocks(levels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Return of blocks of 8x8 the channels' means (3, n), the deviation of luma, and whether no level is extreme.

    A picture that is smaller is one block.
    """
    height, width = levels.shape[1] // BLOCK, levels.shape[2] // BLOCK
    if not height or not width:
        flat = levels.reshape(3, -1)
        means = flat.mean(axis=1, dtype=np.float32)[:, None]
        return means, luma(flat).std(keepdims=True), np.array([flat.min() >= LEAST and flat.max() <= MOST])
    sums = over_blocks(np.add, levels.astype(np.uint16))
    means = (sums.reshape(3, -1) / np.float32(BLOCK * BLOCK)).astype(np.float32)
    squares = luma(levels[:, : BLOCK * height, : BLOCK * width]).reshape(height, BLOCK, width, BLOCK)
    squares -= luma(means).reshape(height, 1, width, 1)
    np.square(squares, out=squares)
    variance = over_blocks(np.add, squares.reshape(BLOCK * height, -1)) / np.float32(BLOCK**2)
    least, most = over_blocks(np.minimum, levels).min(axis=0), over_blocks(np.maximum, levels).max(axis=0)
    inner = (least >= LEAST) & (most <= MOST)
    return means, np.sqrt(variance).ravel(), inner.ravel()


def _areas(means: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Return the means of 4x4 blocks each, (3, n); of the blocks themselves where there are fewer."""
    down, across = height // BLOCK, width // BLOCK
    if down < 4 or across < 4:
        return means
    whole = means.reshape(3, down, across)[:, : down // 4 * 4, : across // 4 * 4]
    found: NDArray[np.float32] = whole.reshape(3, down // 4, 4, across // 4, 4).mean(axis=(2, 4)).reshape(3, -1)
    return found


def _curve(level: NDArray[np.float32], chroma: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the tone's chroma at each luma, which is sorted, shape (n, 2)."""
    count = min(GROUPS, max(1, len(level) // 8))
    size, larger = divmod(len(level), count)
    # As np.array_split cuts them: the first `larger` groups have one block more.
    cut = larger * (size + 1)
    parts = [part for part in ((0, cut, larger, size + 1), (cut, len(level), count - larger, size)) if part[2]]
    middle = np.concatenate([level[a:b].reshape(n, m).mean(axis=1) for a, b, n, m in parts]).astype(np.float64)
    tones = np.concatenate([np.median(chroma[a:b].reshape(n, m, 2), axis=1) for a, b, n, m in parts]).astype(np.float64)
    if count > 1:  # on beyond the outermost groups, which are wide
        ends = np.array([level[0], level[-1]], np.float64)
        near, next_to = [0, -1], [1, -2]
        apart = np.where(middle[next_to] == middle[near], 1.0, middle[next_to] - middle[near])
        slope = (tones[next_to] - tones[near]) / apart[:, None]
        outer = tones[near] + slope * (ends - middle[near])[:, None]
        middle = np.concatenate([ends[:1], middle, ends[1:]])
        tones = np.concatenate([outer[:1], tones, outer[1:]])
    return np.stack([np.interp(level, middle, tones[:, at]) for at in (0, 1)], axis=1)
