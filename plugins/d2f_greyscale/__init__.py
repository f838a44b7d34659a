"""The preprocessor `greyscale`: luma in all three channels."""

from __future__ import annotations

from collections.abc import Sequence

from d2f import Options, Pixels, Preprocessor, hookimpl

STRIP = 1 << 15
"""Pixels a strip, so that its float32 arrays stay in a processor's cache."""


def luma(image: Pixels) -> Pixels:
    """Replace the three channels by their luma.

    ``Y = 0.299 R + 0.587 G + 0.114 B`` on gamma-encoded levels (ITU-R BT.601-7, 2011, section 2.5.1).

    Parameters
    ----------
    image : numpy.ndarray, shape (height, width, 3), uint8
        sRGB.

    Returns
    -------
    numpy.ndarray, shape (height, width, 3), uint8
        Three equal channels, rounded half to even, exactly.

    Examples
    --------
    >>> import numpy as np
    >>> luma(np.array([[[255, 0, 0], [0, 255, 0]]], np.uint8))[0, :, 0]
    array([ 76, 150], dtype=uint8)
    """
    import numpy as np

    out = np.empty(image.shape, np.uint8)
    step = max(1, STRIP // image.shape[1])
    for start in range(0, len(image), step):
        red, green, blue = (image[start : start + step, :, channel] for channel in range(3))
        # Whole thousandths are exact in float32, and so are the halves that the rounding looks for.
        thousandths = red * np.float32(299) + green * np.float32(587) + blue * np.float32(114)
        out[start : start + step] = np.rint(thousandths / np.float32(1000))[..., np.newaxis]
    return out


class GreyscaleOptions(Options):
    """There is nothing to choose."""


class Greyscale:
    """Luma of ITU-R BT.601 in all three channels."""

    name = "greyscale"
    summary = "Luma of ITU-R BT.601 in all three channels."
    Options = GreyscaleOptions
    thread_safe = True

    def __init__(self, options: GreyscaleOptions) -> None:
        pass

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the picture without colour, uint8 (height, width, 3); `seed` is not used."""
        return luma(pixels)


@hookimpl
def d2f_preprocessors() -> Sequence[type[Preprocessor]]:
    """Return the one stage of this plugin."""
    return [Greyscale]
