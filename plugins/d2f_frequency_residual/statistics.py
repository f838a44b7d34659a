"""From the log spectra of all blocks to numbers of the picture: shares of strong blocks, bands that go together."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from numpy.typing import NDArray

from d2f_frequency_residual.transforms import BLOCK

BANDS = 8
"""Bands of frequencies whose strengths are correlated."""

RAMPS = ((-0.35, 0.35), (0.35, 1.05), (1.15, 1.85))
"""Log magnitudes between which a count rises from 0 to 1: magnitudes of about 1/2, 3/2 and 4 grey levels."""

LEAST = 0.05
"""What a deviation of log magnitudes is at least: a band that is even over the picture correlates with none."""


def first_bands() -> NDArray[np.float32]:
    """Return the bands that training starts from, (64, 8): means of frequencies u + v, two sums to a band."""
    down, across = np.meshgrid(np.arange(BLOCK), np.arange(BLOCK), indexing="ij")
    of_band = (down + across).reshape(-1, 1) // 2 == np.arange(BANDS)
    bands: NDArray[np.float32] = (of_band / of_band.sum(axis=0)).astype(np.float32)
    return bands


def shares(spectra: mx.array) -> mx.array:
    """Return of each frequency the share of blocks above each ramp: a histogram without steps.

    Parameters
    ----------
    spectra : mlx.core.array, shape (n, blocks, channels)
        Log magnitudes.

    Returns
    -------
    mlx.core.array, shape (n, 3 channels)
    """
    counts = [mx.clip((spectra - low) / (high - low), 0.0, 1.0).mean(axis=1) for low, high in RAMPS]
    return mx.concatenate(counts, axis=1)


class BandCorrelations(nn.Module):  # type: ignore[misc]
    """Correlations over blocks of learned bands' log magnitudes, within a colour and across colours.

    Parameters
    ----------
    colours : int
        Planes whose spectra are given; bands are the same for each.
    """

    def __init__(self, colours: int) -> None:
        super().__init__()
        self.bands = mx.array(first_bands())
        count = colours * BANDS
        self._colours, self._count = colours, count
        # Private: a constant is no parameter.
        self._pairs = mx.array(np.flatnonzero(np.triu(np.ones((count, count)), 1)).astype(np.int32))

    def __call__(self, spectra: mx.array) -> mx.array:
        """Return the correlations (n, pairs) of log magnitudes (n, blocks, 64 colours), row by row."""
        n, blocks = spectra.shape[:2]
        strengths = (spectra.reshape(n, blocks, self._colours, -1) @ self.bands).reshape(n, blocks, self._count)
        apart = strengths - strengths.mean(axis=1, keepdims=True)
        scaled = apart * mx.rsqrt(mx.square(apart).mean(axis=1, keepdims=True) + LEAST**2)
        products = (scaled.transpose(0, 2, 1) @ scaled) / blocks
        return mx.take(products.reshape(n, -1), self._pairs, axis=1)

    @property
    def size(self) -> int:
        """How many pairs of bands there are."""
        return self._count * (self._count - 1) // 2
