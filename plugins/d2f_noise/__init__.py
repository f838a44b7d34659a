"""The preprocessor `noise`: Gaussian noise, repeatable from the image's bytes."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from d2f import Options, Pixels, Preprocessor, hookimpl

STRIP = 1 << 16
"""Levels a strip, so that its float32 array stays in a processor's cache; the draws are those of one piece."""


def add_noise(image: Pixels, sigma: float, seed: int) -> Pixels:
    """Add white Gaussian noise, independent in every pixel and channel.

    ``y = x + sigma * z`` with z drawn from N(0, 1) (R. C. Gonzalez and R. E. Woods, *Digital Image Processing*, 4th
    edition 2018, ISBN 978-0-13-335672-4, section 5.2) by NumPy's PCG64 and its ziggurat, in float32.

    Parameters
    ----------
    image : numpy.ndarray, shape (height, width, channels), uint8
    sigma : float
        Standard deviation in grey levels, at least 0.
    seed : int
        At least 0. Equal seeds give equal noise.

    Returns
    -------
    numpy.ndarray, shape of `image`, uint8
        Rounded half to even and clipped, so that the deviation of black and white areas is smaller than `sigma`.

    Examples
    --------
    >>> import numpy as np
    >>> grey = np.full((256, 256, 3), 128, np.uint8)
    >>> float(add_noise(grey, sigma=5.0, seed=1).std().round(1))
    5.0
    """
    import numpy as np

    generator = np.random.Generator(np.random.PCG64(seed))
    out = np.empty(image.shape, np.uint8)
    step = max(1, STRIP // (image.shape[1] * image.shape[2]))
    for start in range(0, len(image), step):
        part = image[start : start + step]
        drawn = generator.standard_normal(part.shape, np.float32)
        drawn *= np.float32(sigma)
        drawn += part
        np.clip(np.rint(drawn, out=drawn), 0, 255, out=drawn)
        out[start : start + step] = drawn
    return out


class NoiseOptions(Options):
    """Options of the stage."""

    sigma: float = Field(default=5.0, ge=0.0, le=255.0, description="Standard deviation in grey levels, 0 to 255.")


class Noise:
    """Gaussian noise, independent in each channel."""

    name = "noise"
    summary = "Gaussian noise in grey levels, drawn from the image's own bytes."
    Options = NoiseOptions
    thread_safe = True

    def __init__(self, options: NoiseOptions) -> None:
        self.sigma = options.sigma

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the noisy picture, uint8 (height, width, 3); the same `seed` gives the same noise."""
        return add_noise(pixels, self.sigma, seed)


@hookimpl
def d2f_preprocessors() -> Sequence[type[Preprocessor]]:
    """Return the one stage of this plugin."""
    return [Noise]
