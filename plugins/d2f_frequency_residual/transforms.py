"""Fixed first layers: colours, scales, a high-pass residual and its block spectrum, as reshapes and matrix products."""

from __future__ import annotations

import math

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

BLOCK = 8
"""Side of a block in pixels."""

MARGIN = 2
"""Pixels that the average of a pixel reaches to each side."""

COLOURS = (
    (0.299, 0.587, 0.114),
    (-0.168736, -0.331264, 0.5),
    (0.5, -0.418688, -0.081312),
)
"""Luma and the two chroma differences of red, green and blue, without offset (ITU-T T.871, as in JPEG files)."""


def colour_matrix() -> NDArray[np.float32]:
    """Return the matrix (3, 3) that takes RGB in 0..1 on the right to luma and chroma in grey levels of 0..255."""
    return (255.0 * np.array(COLOURS).T).astype(np.float32)


def cosine_matrix() -> NDArray[np.float32]:
    """Return the orthonormal cosine transform of `BLOCK` pixels, pixels in rows, frequencies in columns.

    C[x, k] = a_k cos(pi (2 x + 1) k / 16), a_0 = sqrt(1/8), else 1/2 (Ahmed, Natarajan and Rao 1974,
    doi:10.1109/T-C.1974.223784).
    """
    pixel, frequency = np.arange(BLOCK)[:, None], np.arange(BLOCK)[None]
    waves = np.cos(math.pi * (2 * pixel + 1) * frequency / (2 * BLOCK))
    return (waves * np.where(frequency == 0, math.sqrt(1 / BLOCK), math.sqrt(2 / BLOCK))).astype(np.float32)


def halved(planes: mx.array) -> mx.array:
    """Return planes (…, height, width) at half the size, (…, height // 2, width // 2): the mean of 2x2 pixels."""
    *outer, height, width = planes.shape
    down, across = height // 2, width // 2
    members = planes[..., : 2 * down, : 2 * across].reshape(*outer, down, 2, across, 2)
    rows = members[..., 0, :, :] + members[..., 1, :, :]
    return (rows[..., 0] + rows[..., 1]) * 0.25


def residual(planes: mx.array) -> mx.array:
    """Return planes (n, colours, height, width) less their binomial average (1, 4, 6, 4, 1) / 16 each way.

    A high-pass filter: without it a block's strong low frequencies leak into its high ones. Pixels at an edge stand
    for those beyond it, so that blocks begin where the picture does, as JPEG's do.
    """
    height, width = planes.shape[2:]
    padded = mx.pad(planes, ((0, 0), (0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)), mode="edge")
    rows = _weighted([padded[:, :, start : start + height] for start in range(2 * MARGIN + 1)])
    return planes - _weighted([rows[..., start : start + width] for start in range(2 * MARGIN + 1)])


def _weighted(shifted: list[mx.array]) -> mx.array:
    first, second, middle, fourth, last = shifted
    return (6.0 * middle + 4.0 * (second + fourth) + (first + last)) * (1 / 16)


def block_spectrum(planes: mx.array, cosines: mx.array) -> mx.array:
    """Return the cosine transform of each block of planes.

    Parameters
    ----------
    planes : mlx.core.array, shape (…, height, width)
        What is left over beyond whole blocks is cut off.
    cosines : mlx.core.array, shape (8, 8)
        As `cosine_matrix` returns it.

    Returns
    -------
    mlx.core.array, shape (…, height // 8, width // 8, 64)
        The last axis holds horizontal frequencies, 8 vertical ones for each.
    """
    *outer, height, width = planes.shape
    down, across = height // BLOCK, width // BLOCK
    rows = planes[..., : down * BLOCK, : across * BLOCK].reshape(-1, BLOCK) @ cosines
    turned = rows.reshape(-1, down, BLOCK, across, BLOCK).transpose(0, 1, 3, 4, 2)
    return (turned.reshape(-1, BLOCK) @ cosines).reshape(*outer, down, across, BLOCK * BLOCK)
