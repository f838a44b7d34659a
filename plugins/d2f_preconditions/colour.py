"""Whether a picture has colours: more than grey, and more than shades of one tone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from d2f_preconditions.sampling import luma, sampled

if TYPE_CHECKING:
    from d2f import Pixels

BLOCK = 8
"""Side of a block of the sampled picture; its mean hides noise and the errors of subsampled chroma."""
GROUPS = 24
"""Groups of blocks of like luma, whose median chroma is the tone's curve."""


def colour_statistics(pixels: Pixels) -> dict[str, float]:
    """Return how far a picture's colours are from grey, and from one curve of chroma over luma.

    The picture is sampled to about 512 pixels and averaged over blocks of 8x8. `channels` is the 95th percentile of
    the largest difference of two channels' means. The rest is of blocks that are calm (the lower three quarters by the
    deviation of their luma) and hold no level below 4 or above 251, where those are at least 40: Y, Cb and Cr of
    ITU-R BT.601. The curve goes through the median chroma of 24 groups of equal count by Y, linear between and beyond;
    `tone` is the 90th percentile of the distance from it, `accent` the 98th, `chroma` the median distance from grey,
    `range` the span of Y between its 5th and 95th percentile. A toned picture has chroma, all of it on the curve, over
    a wide range of Y.
    """
    plane = sampled(pixels, 512)
    blocks = _blocks(plane)
    means = blocks.mean(axis=1, dtype=np.float32)
    calm = luma(blocks).std(axis=1)
    inner = (blocks.min(axis=(1, 2)) >= 4) & (blocks.max(axis=(1, 2)) <= 251)
    taken = (calm <= np.quantile(calm, 0.75)) & inner
    chosen = means[taken] if np.count_nonzero(taken) >= 40 else means
    level = luma(chosen)
    order = np.argsort(level, kind="stable")
    level, chosen = level[order], chosen[order]
    chroma = np.stack([(chosen[:, 2] - level) * 0.564, (chosen[:, 0] - level) * 0.713], axis=1)
    distance = np.hypot(*(chroma - _curve(level, chroma)).T)
    return {
        "channels": float(np.percentile(np.ptp(means, axis=1), 95)),
        "tone": float(np.percentile(distance, 90)),
        "accent": float(np.percentile(distance, 98)),
        "chroma": float(np.median(np.hypot(*chroma.T))),
        "range": float(np.percentile(level, 95) - np.percentile(level, 5)),
    }


def _blocks(plane: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return blocks (n, pixels, 3): of 8x8, or the whole of a picture that is smaller."""
    height, width = plane.shape[0] // BLOCK, plane.shape[1] // BLOCK
    if not height or not width:
        return plane.reshape(1, -1, 3)
    cut = plane[: height * BLOCK, : width * BLOCK].reshape(height, BLOCK, width, BLOCK, 3)
    return cut.transpose(0, 2, 1, 3, 4).reshape(height * width, BLOCK * BLOCK, 3)


def _curve(level: NDArray[np.float32], chroma: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the tone's chroma at each luma, which is sorted, shape (n, 2)."""
    groups = np.array_split(np.arange(len(level)), min(GROUPS, max(1, len(level) // 8)))
    middle = np.array([level[group].mean() for group in groups], np.float64)
    tones = np.array([np.median(chroma[group], axis=0) for group in groups], np.float64)
    if len(groups) > 1:  # on beyond the outermost groups, which are wide
        ends = np.array([level[0], level[-1]], np.float64)
        near, next_to = [0, -1], [1, -2]
        apart = np.where(middle[next_to] == middle[near], 1.0, middle[next_to] - middle[near])
        slope = (tones[next_to] - tones[near]) / apart[:, None]
        outer = tones[near] + slope * (ends - middle[near])[:, None]
        middle = np.concatenate([ends[:1], middle, ends[1:]])
        tones = np.concatenate([outer[:1], tones, outer[1:]])
    return np.stack([np.interp(level, middle, tones[:, at]) for at in (0, 1)], axis=1)
