"""What of a view the network sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEAST = 64
"""A view with a shorter side has too few blocks, in pixels."""

UNIT = 16
"""Windows begin at multiples of this, where JPEG's blocks do, chroma's too."""


def unfit(pixels: NDArray[np.uint8]) -> str:
    """Return why there is nothing to say of a view, empty where there is."""
    height, width = pixels.shape[:2]
    if min(height, width) < LEAST:
        return f"{width}x{height} pixels; at least {LEAST} a side are needed"
    return "" if (pixels != pixels[0, 0]).any() else "the picture is flat: one colour everywhere"


def central(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return the middle of a view, at most `side` pixels high and wide."""
    top, left = (max(0, length - side) // 2 // UNIT * UNIT for length in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]
