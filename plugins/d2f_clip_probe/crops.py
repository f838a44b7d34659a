"""What the tower is shown of a view: squares of 224 pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from d2f_clip_probe.options import Crop
from d2f_clip_probe.tower import SIDE


def crops(pixels: NDArray[np.uint8], kinds: Sequence[Crop]) -> NDArray[np.uint8]:
    """Return the crops of a view.

    Parameters
    ----------
    pixels : numpy.ndarray, shape (height, width, 3), uint8
    kinds : sequence of {'whole', 'native'}
        `whole`: the central square, resized (bicubic, with antialiasing), as CLIP itself is shown pictures.
        `native`: the central 224 pixels as they are; of a smaller view, its `whole`.

    Returns
    -------
    numpy.ndarray, shape (len(kinds), 224, 224, 3), uint8
    """
    height, width = pixels.shape[:2]
    return np.stack(
        [_native(pixels) if kind == "native" and min(height, width) > SIDE else _whole(pixels) for kind in kinds]
    )


def _native(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    top, left = ((side - SIDE) // 2 for side in pixels.shape[:2])
    return pixels[top : top + SIDE, left : left + SIDE]


def _whole(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = pixels[top : top + side, left : left + side]
    if side == SIDE:
        return square
    return np.asarray(Image.fromarray(square).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
