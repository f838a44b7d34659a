"""What the tower is shown of a view: squares of the side that it takes."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from d2f_clip_probe.options import Crop

LONGEST = 480
"""Short side, in pixels, up to which `standard` leaves a view as it is: protocol `whole` draws none longer."""

SHORT, QUALITY = 400, 88
"""What `standard` brings a larger view to: the middle of what protocol `whole` draws."""


def crops(pixels: NDArray[np.uint8], kinds: Sequence[Crop], side: int = 224) -> NDArray[np.uint8]:
    """Return the crops of a view.

    Parameters
    ----------
    pixels : numpy.ndarray, shape (height, width, 3), uint8
    kinds : sequence of {'whole', 'native', 'standard'}
        `whole`: the central square, resized (bicubic, with antialiasing), as CLIP itself is shown pictures.
        `native`: the central `side` pixels as they are; of a smaller view, its `whole`.
        `standard`: the `whole` of a view that has the size and the history of those that heads are fitted to: with a
        short side above `LONGEST` it is first reduced to `SHORT` and encoded as JPEG. Without that a large picture
        comes out cleaner than every fitted one, and scores lower whatever it is.
    side : int
        Of the crops, in pixels.

    Returns
    -------
    numpy.ndarray, shape (len(kinds), side, side, 3), uint8
    """
    return np.stack([CUTS[kind](pixels, side) for kind in kinds])


def _native(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    if min(pixels.shape[:2]) <= side:
        return _whole(pixels, side)
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]


def _whole(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    square = pixels[top : top + short, left : left + short]
    if short == side:
        return square
    return np.asarray(Image.fromarray(square).resize((side, side), Image.Resampling.BICUBIC))


def _standard(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    if min(height, width) <= LONGEST:
        return _whole(pixels, side)
    factor = SHORT / min(height, width)
    size = max(SHORT, round(width * factor)), max(SHORT, round(height * factor))
    buffer = io.BytesIO()
    reduced = Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.BICUBIC)
    reduced.save(buffer, "JPEG", quality=QUALITY, subsampling="4:2:0")
    with Image.open(buffer) as opened:
        return _whole(np.asarray(opened.convert("RGB")), side)


CUTS: dict[Crop, Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]] = {
    "whole": _whole,
    "native": _native,
    "standard": _standard,
}
