"""The preprocessor `gaussian-blur`: Gaussian low-pass of a given standard deviation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from d2f import Options, Pixels, Preprocessor, hookimpl

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STRIP = 1 << 16
"""Elements a strip, so that its float32 arrays stay in a processor's cache."""


def kernel(sigma: float, truncate: float = 4.0) -> NDArray[np.float64]:
    """Sample the Gaussian and bring its sum to 1.

    Parameters
    ----------
    sigma : float
        Standard deviation in pixels, above 0.
    truncate : float
        The radius is ``int(truncate * sigma + 0.5)`` pixels, as in SciPy.

    Returns
    -------
    numpy.ndarray, shape (2 * radius + 1,), float64

    Examples
    --------
    >>> kernel(0.5).round(4)
    array([3.000e-04, 1.065e-01, 7.866e-01, 1.065e-01, 3.000e-04])
    """
    import numpy as np

    radius = int(truncate * sigma + 0.5)
    weights: NDArray[np.float64] = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weights /= weights.sum()
    return weights


def gaussian_blur(image: Pixels, sigma: float, truncate: float = 4.0) -> Pixels:
    """Convolve each channel with a sampled Gaussian.

    ``g(i, j) ∝ exp(-(i² + j²) / (2 sigma²))``, cut at `truncate` standard deviations and brought to sum 1 (R. C.
    Gonzalez and R. E. Woods, *Digital Image Processing*, 4th edition 2018, ISBN 978-0-13-335672-4, section 3.5). Beyond
    the border the picture is mirrored with its edge pixel repeated (``d c b a | a b c d | d c b a``).

    Parameters
    ----------
    image : numpy.ndarray, shape (height, width, channels), uint8
    sigma : float
        Standard deviation in pixels, above 0.
    truncate : float
        Where the kernel is cut, in standard deviations.

    Returns
    -------
    numpy.ndarray, shape of `image`, uint8
        Rounded half to even; computed in float32, so that a level may differ by one where the exact
        value lies within 1e-3 of a half.

    Examples
    --------
    >>> import numpy as np
    >>> step = np.repeat(np.array([[0, 0, 0, 200, 200, 200]], np.uint8)[..., None], 3, axis=2)
    >>> gaussian_blur(step, sigma=1.0)[0, :, 0]
    array([  1,  12,  60, 140, 188, 199], dtype=uint8)
    """
    import numpy as np

    weights = kernel(sigma, truncate).astype(np.float32)
    radius = len(weights) // 2
    height, width, channels = image.shape
    padded = np.pad(image, ((radius, radius), (radius, radius), (0, 0)), mode="symmetric")
    padded = padded.reshape(height + 2 * radius, -1)
    out = np.empty((height, width * channels), np.uint8)
    step = max(16, STRIP // padded.shape[1])
    for start in range(0, height, step):
        strip = padded[start : start + step + 2 * radius].astype(np.float32)
        across = _weighted(_weighted(strip, weights, 0), weights, 1, channels)
        out[start : start + step] = np.clip(np.rint(across), 0, 255)
    return out.reshape(image.shape)


def _weighted(
    array: NDArray[np.float32], weights: NDArray[np.float32], axis: int, step: int = 1
) -> NDArray[np.float32]:
    """Sum neighbours `step` apart under symmetric weights, wherever all of them lie inside."""
    radius = len(weights) // 2
    size = array.shape[axis] - 2 * radius * step
    total: NDArray[np.float32] = _cut(array, radius * step, size, axis) * weights[radius]
    for away in range(1, radius + 1):
        pair = _cut(array, (radius - away) * step, size, axis) + _cut(array, (radius + away) * step, size, axis)
        pair *= weights[radius - away]
        total += pair
    return total


def _cut(array: NDArray[np.float32], start: int, size: int, axis: int) -> NDArray[np.float32]:
    return array[start : start + size] if axis == 0 else array[:, start : start + size]


class GaussianBlurOptions(Options):
    """Options of the stage."""

    sigma: float = Field(
        default=1.0, gt=0.0, le=100.0, description="Standard deviation in pixels, above 0 and at most 100."
    )
    truncate: float = Field(
        default=4.0, ge=1.0, le=10.0, description="Radius of the kernel in standard deviations, 1 to 10."
    )


class GaussianBlur:
    """Gaussian low-pass on each channel alone."""

    name = "gaussian-blur"
    summary = "Gaussian low-pass of a given standard deviation."
    Options = GaussianBlurOptions
    thread_safe = True

    def __init__(self, options: GaussianBlurOptions) -> None:
        self.sigma, self.truncate = options.sigma, options.truncate

    def apply(self, pixels: Pixels, seed: int) -> Pixels:
        """Return the blurred picture, uint8 (height, width, 3); `seed` is not used."""
        return gaussian_blur(pixels, self.sigma, self.truncate)


@hookimpl
def d2f_preprocessors() -> Sequence[type[Preprocessor]]:
    """Return the one stage of this plugin."""
    return [GaussianBlur]
