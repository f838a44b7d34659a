"""The preprocessor `median`: the median of a square window, on each channel alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import Field, field_validator

from d2f import Options, Pixels, Preprocessor, hookimpl

STRIP = 1 << 15
"""Elements a strip, so that half a window of shifted copies stays in a processor's cache."""


def median(image: Pixels, window: int = 3) -> Pixels:
    """Replace each level by the median of the window around it, each channel alone.

    Beyond the border the edge pixel is repeated, as in OpenCV's medianBlur and Pillow's MedianFilter; SciPy calls
    it ``mode='nearest'``. J. W. Tukey, *Exploratory Data Analysis*, Addison-Wesley 1977, ISBN 0-201-07616-0, chapter 7.

    Parameters
    ----------
    image : numpy.ndarray, shape (height, width, channels), uint8
    window : int
        Side of the square, odd, at least 1. Time grows with its fourth power.

    Returns
    -------
    numpy.ndarray, shape of `image`, uint8

    Raises
    ------
    ValueError
        `window` even or below 1.

    Examples
    --------
    >>> import numpy as np
    >>> speck = np.full((3, 3, 1), 10, np.uint8)
    >>> speck[1, 1] = 255
    >>> int(median(speck, 3).max())
    10
    """
    import numpy as np

    if window < 1 or window % 2 == 0:
        raise ValueError(f"window: odd and at least 1, not {window}")
    radius = window // 2
    height, width, channels = image.shape
    padded = np.pad(image, ((radius, radius), (radius, radius), (0, 0)), mode="edge")
    padded = padded.reshape(height + 2 * radius, -1)
    out = np.empty((height, width * channels), np.uint8)
    step = max(8, STRIP // out.shape[1])
    for start in range(0, height, step):
        rows = min(step, height - start)
        strip = padded[start : start + rows + 2 * radius]
        shifts = (
            strip[down : down + rows, right * channels : right * channels + out.shape[1]]
            for down in range(window)
            for right in range(window)
        )
        out[start : start + rows] = middle(shifts, window * window)
    return out.reshape(image.shape)


def middle(arrays: Iterator[Pixels], count: int) -> Pixels:
    """Return the elementwise median of an odd number of arrays of one shape.

    Forgetful selection: among ``count // 2 + 2`` of them neither the least nor the greatest can be the
    median; both are dropped, one more array is taken up, and so on (A. Paeth, "Median finding on a 3×3 grid", *Graphics
    Gems*, 1990, ISBN 0-12-286166-3, pp. 171-175, for nine).

    Examples
    --------
    >>> import numpy as np
    >>> middle(iter(np.array([[5, 1], [9, 2], [7, 3]], np.uint8)), 3)
    array([7, 2], dtype=uint8)
    """
    import numpy as np

    if count == 1:
        return next(arrays)
    held = [next(arrays).copy() for _ in range(count // 2 + 2)]
    spare = np.empty_like(held[0])
    while True:
        spare = _extremes_outward(held, spare)
        held = held[1:-1]
        if len(held) == 1:
            return held[0]
        held.append(next(arrays).copy())


def _extremes_outward(held: list[Pixels], spare: Pixels) -> Pixels:
    """Bring the least to the front and the greatest to the end, elementwise, in 1.5 len(held) comparisons.

    First the halves are sorted against each other; then the least is sought in one, the greatest in the other.
    """
    import numpy as np

    last = len(held) - 1
    pairs = [(low, last - low) for low in range((last + 1) // 2)]
    pairs += [(0, low) for low in range(1, last // 2 + 1)]
    pairs += [(high, last) for high in range((last + 1) // 2, last)]
    for low, high in pairs:
        np.minimum(held[low], held[high], out=spare)
        np.maximum(held[low], held[high], out=held[high])
        held[low], spare = spare, held[low]
    return spare


class MedianOptions(Options):
    """Options of the stage."""

    window: int = Field(default=3, ge=1, le=15, description="Side of the square window in pixels, odd, 1 to 15.")

    @field_validator("window")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("must be odd, to have a middle")
        return value


class Median:
    """Median filter on each channel alone."""

    name = "median"
    summary = "Median of a square window, each channel alone."
    Options = MedianOptions
    thread_safe = True

    def __init__(self, options: MedianOptions) -> None:
        self.window = options.window

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the filtered picture, uint8 (height, width, 3); `seed` is not used."""
        return median(pixels, self.window)


@hookimpl
def d2f_preprocessors() -> Sequence[type[Preprocessor]]:
    """Return the one stage of this plugin."""
    return [Median]
