"""Invisible marks of the method dwtDct, read as the open-source generators write them.

The method (invisible-watermark 0.2.0, `embed_watermark` with ``dwtDct``): of the picture's U channel the low band of
one Haar wavelet step is cut into blocks of 4 x 4 (8 x 8 pixels); block i carries bit i mod n in its coefficient of
largest magnitude after the first, by the remainder of that coefficient on division by 36. A reader takes of each
block one vote, 1 where the remainder is above 18, and of each bit the share of its blocks' votes.

Generators embed in float and round afterwards, so that many votes are wrong when read from integers: both readings are
tried. Photographs are no fair coins (in two of three every bit reads alike), so that bits are not counted: what is
compared with a threshold is the correlation of the shares with the code.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from d2f import Evidence
from d2f_provenance.evidence import MARK, MARK_GENERATED

SMALLEST = 256 * 256
"""The fewest pixels that the writers mark."""

MOST = 2**22
"""The most pixels that are read, from the top; a larger picture's mark repeats below."""

STEP = 36.0
"""Quantisation step of the writers."""

STRIP = 2**15
"""The pixels that are worked on at a time."""


@dataclass(frozen=True, slots=True)
class Code:
    """The bits that a program writes, and the correlation from which on they count as read.

    Parameters
    ----------
    maker : str
        Who writes them.
    bits : tuple of int
        0 or 1, in order.
    threshold : float
        ASCII codes share bits among each other (the highest of every byte is 0), so that theirs is higher.
    """

    maker: str
    bits: tuple[int, ...]
    threshold: float


def _of_number(number: int) -> tuple[int, ...]:
    return tuple(int(digit) for digit in f"{number:b}")


def _of_text(text: bytes) -> tuple[int, ...]:
    return tuple(np.unpackbits(np.frombuffer(text, np.uint8)).tolist())


CODES = (
    Code("Stable Diffusion XL (diffusers, generative-models)", _of_number(0xB3EC907BB19E), 0.7),
    # 48 bits were meant; the reference code drops two leading zeros.
    Code("FLUX's reference code", _of_number(0x2AFE879CF52E), 0.7),
    Code("Stable Diffusion 1", _of_text(b"StableDiffusionV1"), 0.8),
    Code("Stable Diffusion 2", _of_text(b"SDV2"), 0.8),
    Code("InvokeAI", _of_text(b"InvokeAI"), 0.8),
)


def mark_evidence(pixels: NDArray[np.uint8] | None) -> Iterator[Evidence]:
    """Yield the mark that a picture carries; the absence of one says nothing, since resizing or cropping removes it.

    Parameters
    ----------
    pixels : numpy.ndarray, shape (height, width, 3), uint8, optional
        sRGB, as decoded.
    """
    if pixels is None:
        return
    read = correlations(pixels)
    hits = [(r, code) for code, r in zip(CODES, read, strict=True) if r >= code.threshold]
    if hits:
        r, code = max(hits, key=lambda hit: hit[0])
        statement = (
            f"The pixels carry the invisible mark of {code.maker}:"
            f" correlation {r:.2f} with its {len(code.bits)} bits, threshold {code.threshold:.1f}."
        )
        yield Evidence("invisible-mark", statement, "pixels, dwtDct", MARK, MARK_GENERATED, f"r={r:.4f}")


def correlations(pixels: NDArray[np.uint8]) -> list[float]:
    """Return the correlation of the vote shares with each of `CODES`, the higher of both readings, in [-1, 1].

    Parameters
    ----------
    pixels : numpy.ndarray, shape (height, width, 3), uint8
        0 is returned for every code where there are fewer than 65,536 pixels.
    """
    height, width = pixels.shape[0] // 8 * 8, pixels.shape[1] // 8 * 8
    if pixels.shape[0] * pixels.shape[1] < SMALLEST or not height or not width:
        return [0.0] * len(CODES)
    rows = min(height, MOST // width // 8 * 8 or 8)
    strip = max(8, STRIP // width // 8 * 8)
    parts = [_votes(pixels[top : min(top + strip, rows), :width]) for top in range(0, rows, strip)]
    readings = np.concatenate(parts, axis=1)
    return [max(_correlation(votes, code.bits) for votes in readings) for code in CODES]


def _correlation(votes: NDArray[np.bool_], bits: tuple[int, ...]) -> float:
    """Return Pearson's r of the shares of votes with the bits, 0 where the shares are all alike."""
    place = np.arange(len(votes)) % len(bits)
    blocks = np.bincount(place, minlength=len(bits))
    if blocks.min() == 0:
        return 0.0
    shares = np.bincount(place, votes, len(bits)) / blocks
    return 0.0 if shares.std() < 1e-12 else float(np.corrcoef(shares, bits)[0, 1])


def _votes(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return one vote for each block of 8 x 8 pixels of a strip, in raster order, shape (2, blocks).

    The first reading has U as OpenCV makes it of uint8, by fixed-point weights of 14 bits (exact in float32,
    whose numbers have 24); the second as it makes it of floats, where the wavelet's sum of 2 x 2 pixels
    may come first.
    """
    levels = pixels.astype(np.float32)
    integers = levels @ np.array([4899 / 2**14, 9617 / 2**14, 1868 / 2**14], np.float32)
    integers += 0.5
    np.subtract(levels[..., 2], np.floor(integers, out=integers), out=integers)
    integers *= np.float32(8061 / 2**14)
    integers += 128.5
    np.floor(integers, out=integers)
    floats = _two_by_two(levels) @ np.array([-0.299, -0.587, 0.886], np.float32) * np.float32(0.492) + 2
    return np.stack([_block_votes(_two_by_two(integers)), _block_votes(floats)])


def _two_by_two(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the sums of 2 x 2 neighbours: twice the wavelet's low band."""
    rows = plane[0::2] + plane[1::2]
    sums: NDArray[np.float32] = rows[:, 0::2] + rows[:, 1::2]
    return sums


def _block_votes(low: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the vote of each block of 4 x 4 of a doubled low band."""
    low = np.abs(low)
    low[0::4, 0::4] = 0.0
    height, width = low.shape
    largest = low.reshape(height // 4, 4, width).max(axis=1).reshape(-1, 4).max(axis=1)
    votes: NDArray[np.bool_] = largest % (2 * STEP) > STEP
    return votes
