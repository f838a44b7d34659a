"""The quality that a JPEG was written with, read back from its quantisation tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# ITU-T T.81 (1992), Annex K, tables K.1 (luminance) and K.2 (chrominance), row by row.
_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8 for _ in range(4)),
)


class Quality(NamedTuple):
    """A JPEG's quality on the scale of the Independent JPEG Group.

    Parameters
    ----------
    quality : int
        1..100.
    exact : bool
        Whether the file's tables are the standard ones at that quality; camera makers and photo editors
        have tables of their own, for which `quality` is the nearest.
    """

    quality: int
    exact: bool


def jpeg_quality(tables: Mapping[int, Sequence[int]]) -> Quality:
    """Return the quality whose standard tables are nearest to a file's.

    The distance is the sum of absolute differences over the 64 entries of the first table (luminance) and, where
    there is one, of the second (chrominance); of two equally near qualities, the lower.

    Parameters
    ----------
    tables : mapping of int to sequence of int
        Table numbers to 64 entries each, row by row, as Pillow's ``JpegImageFile.quantization`` holds them.

    Returns
    -------
    Quality

    Raises
    ------
    ValueError
        Where there is no table.

    Examples
    --------
    >>> jpeg_quality({0: standard_tables()[91, 0], 1: standard_tables()[91, 1]})
    Quality(quality=92, exact=True)
    """
    if not tables:
        raise ValueError("a JPEG holds at least one quantisation table, got none")
    found = np.array([list(tables[number]) for number in sorted(tables)[:2]], dtype=np.int64)
    distances = np.abs(standard_tables()[:, : len(found)] - found).sum(axis=(1, 2))
    nearest = int(np.argmin(distances))
    return Quality(nearest + 1, not distances[nearest])


@cache
def standard_tables() -> NDArray[np.int64]:
    """Return the standard tables at qualities 1 to 100, shape (100, 2, 64), entries 1..255.

    A quality q scales the tables of ITU-T T.81, Annex K, by s = 5000 / q per cent below 50 and by 200 - 2 q from there
    on (integer division): clip((entry * s + 50) // 100, 1, 255).

    References
    ----------
    Independent JPEG Group, libjpeg 6b, jcparam.c: jpeg_quality_scaling and jpeg_add_quant_table, baseline.
    """
    base = np.array([_LUMINANCE, _CHROMINANCE], dtype=np.int64).reshape(1, 2, 64)
    quality = np.arange(1, 101)
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)[:, None, None]
    tables: NDArray[np.int64] = np.clip((base * scale + 50) // 100, 1, 255)
    return tables
