"""The pixels that the features look at: a bounded central window, as luma and colour differences, at four scales."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Plane: TypeAlias = NDArray[np.float32]

LARGEST = 384
"""Side of the largest window, in pixels: that of the detector's `needs`."""

LEVELS = 4


def window(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the central window whose sides are multiples of 16 and at most `LARGEST`.

    Its corner lies on the 8-pixel grid of the picture, so that the traces of a JPEG grid keep their place.

    Parameters
    ----------
    pixels : numpy.ndarray, shape (height, width, 3), uint8
        Both sides at least 16.
    """
    height, width = (min(side, LARGEST) // 16 * 16 for side in pixels.shape[:2])
    top, left = (pixels.shape[0] - height) // 16 * 8, (pixels.shape[1] - width) // 16 * 8
    return pixels[top : top + height, left : left + width]


def luma_and_colour(pixels: NDArray[np.uint8]) -> tuple[Plane, Plane, Plane]:
    """Return Y, Cb and Cr of ITU-T T.871 (JFIF), float32, Cb and Cr about 0, not rounded."""
    red, green, blue = (np.ascontiguousarray(pixels[..., channel], dtype=np.float32) for channel in range(3))
    luma = np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue
    return luma, (blue - luma) * np.float32(1 / 1.772), (red - luma) * np.float32(1 / 1.402)


def halved(plane: Plane) -> Plane:
    """Return means of 2x2 pixels, shape (height / 2, width / 2)."""
    rows = plane[0::2] + plane[1::2]
    return (rows[:, 0::2] + rows[:, 1::2]) * np.float32(0.25)


def pyramid(plane: Plane, levels: int = LEVELS) -> list[Plane]:
    """Return the plane and its successive halvings, finest first."""
    planes = [plane]
    while len(planes) < levels:
        planes.append(halved(planes[-1]))
    return planes


def keep_freed_memory() -> None:
    """Lead the C library to keep the memory of freed planes: a fifth of the time went into page faults.

    glibc hands blocks above a threshold back to the system when they are freed, and raises the threshold,
    up to 32 MB, to the largest block that was (mallopt(3), M_MMAP_THRESHOLD). The block is never touched.
    """
    np.empty(31 << 20, dtype=np.uint8)
