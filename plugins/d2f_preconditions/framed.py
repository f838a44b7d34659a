"""Borders, bars and gutters: flat areas that end in long straight edges, upright or a little tilted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from d2f_preconditions.sampling import sampled

if TYPE_CHECKING:
    from d2f import Pixels

    Plane = NDArray[np.int16]

TOLERANCE = 16
"""Grey levels in any channel within which a pixel has the border's colour."""
FLAT = 3
"""Grey levels within which half of a band's row keeps: drawn areas do, even after JPEG; walls and skies seldom."""
LONGEST = 384
"""Side to which pictures are sampled."""


def framed_statistics(pixels: Pixels) -> dict[str, float]:
    """Return `sides`, the number of sides with a straight border, and `bands`, the share of rows or columns in bands.

    The picture is sampled to about 384 pixels. A side has a border where the runs of its edge's colour (within 16
    levels), from the edge inwards, end on one straight line: at least 85 % of the runs within 1.5 pixels of the line
    with the median slope (H. Theil, 1950; P. K. Sen, 1968, doi:10.1080/01621459.1968.10480934), which lies at least 3
    pixels within the picture somewhere. A scan that was laid down askew has such wedges, too.

    A band is a run of at least 3 rows of like colour (half of each row within 3 levels of its median, medians within 8
    of the next) of which one edge is straight from side to side: at least 80 % of the columns have the band's colour
    in its last row, within 16 levels, and another, by more than 24, three rows further; or at least 40 % at both edges
    of a gutter, a band of which 95 % is of its colour. `bands` is the larger of the two directions' shares.
    """
    plane = sampled(pixels, LONGEST)
    turned = plane.transpose(1, 0, 2)
    sides = sum(_has_border(view) for view in (plane, plane[:, ::-1], turned, turned[:, ::-1]))
    return {"sides": float(sides), "bands": max(_band_share(plane), _band_share(turned))}


def _has_border(plane: Plane) -> bool:
    """Return whether the left side has a straight border."""
    height, width = plane.shape[:2]
    colour = np.median(plane[:, :2].reshape(-1, 3), axis=0).astype(np.int16)
    same = (np.abs(plane - colour) <= TOLERANCE).all(axis=-1)
    runs = np.where(same.all(axis=1), width, same.argmin(axis=1))
    rows = np.flatnonzero(runs < 0.6 * width)
    if len(rows) < max(8, 0.3 * height):
        return False
    picked = rows[np.linspace(0, len(rows) - 1, 48).astype(int)]
    one, other = np.triu_indices(len(picked), 1)
    apart = picked[other] - picked[one]
    slopes = (runs[picked[other]] - runs[picked[one]])[apart > 0] / apart[apart > 0]
    slope = float(np.median(slopes))
    line = slope * rows + np.median(runs[rows] - slope * rows)
    on_line = np.count_nonzero(np.abs(runs[rows] - line) <= 1.5) / height
    return bool(on_line >= 0.85 and line.max() >= 3)


def _band_share(plane: Plane) -> float:
    """Return the share of rows that lie in bands."""
    height = len(plane)
    if height < 8:
        return 0.0
    colours = np.median(plane[:, plane.shape[1] % 5 // 2 :: 5], axis=1).astype(np.int16)
    flat = (np.abs(plane - colours[:, None]) <= FLAT).all(axis=-1).mean(axis=1) >= 0.5
    joined = flat[1:] & flat[:-1] & (np.abs(np.diff(colours, axis=0)).max(axis=1) <= 8)
    ends = np.flatnonzero(np.append(~joined, True))
    found = 0
    for top, last in zip(np.append(0, ends[:-1] + 1), ends, strict=True):
        if last - top >= 2 and flat[top] and _straight(plane, colours[(top + last) // 2], int(top), int(last)):
            found += int(last - top + 1)
    return found / height


def _straight(plane: Plane, colour: NDArray[np.int16], top: int, last: int) -> bool:
    """Return whether one edge of the band of rows top..last is straight across, or both are beside whole rows."""
    shares = []
    for edge, beyond in ((top, top - 3), (last, last + 3)):
        if 0 <= beyond < len(plane):
            within = (np.abs(plane[edge] - colour) <= TOLERANCE).all(axis=-1)
            out = (np.abs(plane[beyond] - colour) > TOLERANCE + 8).any(axis=-1)
            shares.append(float((within & out).mean()))
    if max(shares, default=0.0) >= 0.8:
        return True
    whole = (np.abs(plane[top : last + 1] - colour) <= FLAT).all(axis=-1).mean() >= 0.95
    return bool(whole) and len(shares) == 2 and min(shares) >= 0.4
