"""Simulated pictures of both classes: arithmetic, no photograph and no generator.

They stand in for real images where code is tested. How well a detector does on them says nothing of how well
it does on anything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from d2f.api.arrays import Pixels

WHITE = 2000.0
"""Electrons at white."""
READ_NOISE = 3.0
"""Standard deviation of the read noise, in electrons."""
GAMMA = 1 / 2.2
ENLARGED = 4
"""How many times `upsampled_picture` enlarges its coarse map."""


def camera_picture(height: int = 256, width: int = 256, seed: int = 0) -> Pixels:
    """Return a picture as a camera would give it, uint8 (height, width, 3).

    Shot noise of 2,000 electrons at white, read noise of 3, an RGGB mosaic, bilinear demosaicking, gamma 1/2.2.

    Examples
    --------
    >>> picture = camera_picture(64, 96, seed=1)
    >>> picture.shape, picture.dtype.name, bool((picture == camera_picture(64, 96, seed=1)).all())
    ((64, 96, 3), 'uint8', True)
    """
    import numpy as np

    rng = np.random.default_rng((seed, 1))
    light = scene(height, width, rng)
    electrons = rng.poisson(light * WHITE) + rng.normal(0.0, READ_NOISE, light.shape)
    return _as_bytes(_demosaicked(electrons / WHITE))


def upsampled_picture(height: int = 256, width: int = 256, seed: int = 0) -> Pixels:
    """Return a picture enlarged from a coarse map as a generator's decoder does, uint8 (height, width, 3).

    Two transposed convolutions of stride 2 with kernels that are off by a little: each leaves a lattice of
    period 2 behind (Odena, Dumoulin and Olah 2016, doi:10.23915/distill.00003).

    Examples
    --------
    >>> upsampled_picture(64, 96, seed=1).shape
    (64, 96, 3)
    """
    import numpy as np

    rng = np.random.default_rng((seed, 2))
    picture = scene(-(-height // ENLARGED), -(-width // ENLARGED), rng)
    for _ in range(2):
        kernel = np.array([0.25, 0.75, 0.75, 0.25]) * (1.0 + rng.normal(0.0, 0.06, 4))
        for axis in (0, 1):
            picture = _twice(picture, kernel * (2.0 / kernel.sum()), axis)
    picture = picture[:height, :width]
    return _as_bytes(picture + rng.normal(0.0, 0.004, picture.shape))


def scene(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return linear light (height, width, 3) in [0, 1]: texture whose power falls with frequency, under discs.

    Photographs' spectra fall by about 1 / frequency (Field 1987, doi:10.1364/JOSAA.4.002379).
    """
    import numpy as np

    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    radius[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((height, width))) / np.maximum(radius, 1 / max(height, width))
    texture = np.fft.irfft2(spectrum, s=(height, width))
    texture = 0.45 + 0.18 * texture / max(float(texture.std()), 1e-9)
    picture = texture[..., None] * rng.uniform(0.5, 1.2, 3)
    y, x = np.mgrid[:height, :width]
    for _ in range(4):
        top, left, size = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(0.05, 0.2) * max(height, width)
        disc = (y - top) ** 2 + (x - left) ** 2 < size**2
        picture = np.where(disc[..., None], 0.3 * picture + 0.7 * rng.uniform(0.05, 0.95, 3), picture)
    return np.clip(picture, 0.0, 1.0)


def _demosaicked(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keep one colour a pixel (RGGB) and fill in the others from their neighbours, bilinearly."""
    import numpy as np

    kept = np.zeros_like(values)
    for channel, row, column in ((0, 0, 0), (1, 0, 1), (1, 1, 0), (2, 1, 1)):
        kept[row::2, column::2, channel] = 1.0
    return _spread(values * kept) / np.maximum(_spread(kept), 1e-9)


def _spread(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convolve each channel with (1 2 1; 2 4 2; 1 2 1), mirrored at the edges."""
    import numpy as np

    for axis in (0, 1):
        edges = [(1, 1) if axis == other else (0, 0) for other in range(3)]
        padded = np.moveaxis(np.pad(values, edges, mode="symmetric"), axis, 0)
        values = np.moveaxis(padded[:-2] + 2.0 * padded[1:-1] + padded[2:], 0, axis)
    return values


def _twice(picture: NDArray[np.float64], kernel: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Enlarge twice along an axis: each new pixel is a sum of two old ones, by turns under two pairs of weights."""
    import numpy as np

    edges = [(1, 1) if axis == other else (0, 0) for other in range(3)]
    old = np.moveaxis(np.pad(picture, edges, mode="edge"), axis, 0)
    new = np.empty((2 * (len(old) - 2), *old.shape[1:]))
    new[0::2] = kernel[3] * old[:-2] + kernel[1] * old[1:-1]
    new[1::2] = kernel[2] * old[1:-1] + kernel[0] * old[2:]
    return np.moveaxis(new, 0, axis)


def _as_bytes(light: NDArray[np.float64]) -> Pixels:
    import numpy as np

    return np.rint(255.0 * np.clip(light, 0.0, 1.0) ** GAMMA).astype(np.uint8)
