"""Make the pictures that the tutorial and the README run on: no photograph, no generator, only arithmetic.

`camera-like.jpg` goes through a simulated camera (Poisson noise, a Bayer mosaic, bilinear demosaicking, gamma, JPEG);
`upsampled.jpg` through what a generator's decoder ends with (a coarse map enlarged eight times by strided
convolution); `flat.png` and `tiny.png` hold too little to judge. They show what d2f prints, not how well it works.

    python docs/tutorial/make_images.py docs/tutorial/images
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import convolve, gaussian_filter, zoom

SIDE = 256


def scene(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return linear light (SIDE, SIDE, 3) in [0, 1]: a sky, a hill of 1/f texture and three discs."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    sky = np.stack([0.25 + 0.3 * y, 0.35 + 0.3 * y, 0.7 - 0.1 * y], axis=-1)
    texture = sum(gaussian_filter(rng.standard_normal((SIDE, SIDE)), s) * s for s in (1, 2, 4, 8, 16))
    hill = np.clip(0.3 + 0.12 * texture, 0.02, 1.0)[..., None] * np.array([0.45, 0.6, 0.25])
    picture = np.where((y > 0.55 + 0.08 * np.sin(5 * x))[..., None], hill, sky)
    for cx, cy, radius, colour in ((0.25, 0.3, 0.1, (0.9, 0.8, 0.3)), (0.7, 0.6, 0.15, (0.6, 0.1, 0.1))):
        picture = np.where(((x - cx) ** 2 + (y - cy) ** 2 < radius**2)[..., None], colour, picture)
    return np.clip(gaussian_filter(picture, (0.7, 0.7, 0)), 0, 1)


def camera(light: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return uint8 sRGB as a camera would give it: 2,000 electrons at white, read noise of 3, RGGB mosaic."""
    electrons = rng.poisson(light * 2000) + rng.normal(0, 3, light.shape)
    mask = np.zeros_like(light)
    mask[::2, ::2, 0] = mask[::2, 1::2, 1] = mask[1::2, ::2, 1] = mask[1::2, 1::2, 2] = 1
    spread = partial(convolve, weights=np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 4.0, mode="mirror")
    filled = [spread(electrons[..., c] * mask[..., c]) / spread(mask[..., c]) for c in range(3)]
    linear = np.clip(np.stack(filled, axis=-1) / 2000, 0, 1)
    return np.rint(255 * linear ** (1 / 2.2)).astype(np.uint8)


def upsampled(light: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return uint8 sRGB rebuilt from a map eight times smaller by three strided transposed convolutions."""
    picture = zoom(light, (1 / 8, 1 / 8, 1), order=1, mode="nearest") ** (1 / 2.2)
    for _ in range(3):
        kernel = np.array([0.25, 0.75, 0.75, 0.25]) + rng.normal(0, 0.03, 4)
        picture = np.pad(picture, ((2, 2), (2, 2), (0, 0)), mode="edge")
        for axis in (0, 1):
            stretched = np.zeros([n * 2 if a == axis else n for a, n in enumerate(picture.shape)])
            stretched[(slice(None),) * axis + (slice(None, None, 2),)] = picture
            picture = np.apply_along_axis(np.convolve, axis, stretched, kernel, mode="same") * 2 / kernel.sum()
        picture = picture[4:-4, 4:-4]
    return np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)


def main(folder: Path) -> None:
    """Write the four pictures into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    light = scene(rng)
    Image.fromarray(camera(light, rng)).save(folder / "camera-like.jpg", quality=85)
    Image.fromarray(upsampled(light, rng)).save(folder / "upsampled.jpg", quality=85)
    Image.new("RGB", (SIDE, SIDE), (120, 130, 140)).save(folder / "flat.png")
    Image.fromarray(camera(light, rng)[100:132, 100:132]).save(folder / "tiny.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
