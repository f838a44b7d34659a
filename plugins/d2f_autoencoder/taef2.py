"""The two halves of the tiny autoencoder, over pictures of any size.

Only the pools of the coarsest map look at the whole picture. What comes before and after them goes window by window,
one resolution after the other, and large pictures in outer windows as well: of what is held at once only the coarsest
maps grow with the picture, by 4 bytes a pixel each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from d2f.layers import relu
from d2f_autoencoder.network import Arrays, Layer, block, convolution, doubled, sequence, softly_clipped
from d2f_autoencoder.shapes import LATENT, WIDTH
from d2f_autoencoder.steps import SIDE, Local, Step, in_turn, pooled
from d2f_autoencoder.windows import Map, Reach, over

SCALE = 8
"""Pixels along a side of the picture for one element of the latent."""

OUTER = 1536
"""Of an outer window, in pixels."""

# Margins: 3 for a block, 1 for a convolution, and one of stride 2 needs an even one.


class Encoder:
    """Picture to latent.

    Parameters
    ----------
    arrays : mapping of str to numpy.ndarray
        Those of `d2f_autoencoder.shapes.encoder`.
    """

    def __init__(self, arrays: Arrays) -> None:
        self._fine = (
            _halved(arrays, (1,), 2, 6, convolution(arrays, "0")),
            _halved(arrays, (3, 4, 5), 6, 10),
            _halved(arrays, (7, 8, 9), 10, 10),
        )
        last = Local(convolution(arrays, "14"), Reach(1, LATENT))
        self._coarse: tuple[Step, ...] = (*pooled(arrays, (11, 12, 13)), last)

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the latent (height / 8, width / 8, 32) of a picture (height, width, 3), sides multiples of 8."""
        return in_turn(self._coarse, over(picture, self._run, Reach(72, WIDTH, down=SCALE), OUTER))

    def _run(self, windows: Sequence[Map]) -> Sequence[Map]:
        return [in_turn(self._fine, window.astype(np.float32) / np.float32(255)) for window in windows]


class Decoder:
    """Latent to picture.

    Parameters
    ----------
    arrays : mapping of str to numpy.ndarray
        Those of `d2f_autoencoder.shapes.decoder`.
    """

    def __init__(self, arrays: Arrays) -> None:
        first = Local(sequence(softly_clipped, convolution(arrays, "1"), relu), Reach(1, WIDTH))
        self._coarse: tuple[Step, ...] = (first, *pooled(arrays, (3, 4, 5)))
        self._fine = (
            _raised(arrays, 7, (8, 9, 10), 5),
            _raised(arrays, 12, (13, 14, 15), 5),
            _raised(arrays, 17, (18,), 3, convolution(arrays, "19"), channels=3),
        )

    def __call__(self, latent: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return the picture, clipped to [0, 1] and rounded half to even to levels."""
        return self._picture(latent, _levels, np.uint8)

    def unrounded(self, latent: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the picture as the network gives it, about [0, 1]."""
        return self._picture(latent, lambda made: made, np.float32)

    def _picture(self, latent: NDArray[np.float32], finish: Step, dtype: type) -> Map:
        def run(windows: Sequence[Map]) -> Sequence[Map]:
            return [finish(in_turn(self._fine, window)) for window in windows]

        return over(in_turn(self._coarse, latent), run, Reach(9, 3, up=SCALE), OUTER // SCALE, dtype)


def _halved(arrays: Arrays, blocks: Sequence[int], last: int, margin: int, *first: Layer) -> Local:
    """Return the layers down to half a map's size, by their places in the encoder."""
    between = _blocks(arrays, blocks)
    return Local(sequence(*first, *between, convolution(arrays, str(last), 2)), Reach(margin, WIDTH, down=2), SIDE)


def _raised(
    arrays: Arrays, first: int, blocks: Sequence[int], margin: int, *last: Layer, channels: int = WIDTH
) -> Local:
    """Return the layers from a map to one twice its size, by their places in the decoder."""
    layers = sequence(doubled, convolution(arrays, str(first)), *_blocks(arrays, blocks), *last)
    return Local(layers, Reach(margin, channels, up=2), SIDE // 2)


def _blocks(arrays: Arrays, places: Sequence[int]) -> list[Layer]:
    return [block(arrays, str(place)) for place in places]


def _levels(made: Map) -> Map:
    levels: Map = np.rint(np.clip(made, 0, 1) * 255).astype(np.uint8)
    return levels
