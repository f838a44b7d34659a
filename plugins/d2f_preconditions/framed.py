"""Borders, bars and gutters: flat areas that end in long straight edges, upright or a little tilted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from d2f_preconditions.sampling import grid

if TYPE_CHECKING:
    from d2f import Pixels

    Planes = NDArray[np.uint8]

TOLERANCE = 16
"""Grey levels in any channel within which a pixel has the border's colour."""
FLAT = 3
"""Grey levels within which half of a band's row keeps: drawn areas do, even after JPEG; walls and skies seldom."""
LONGEST = 384
"""Side to which pictures are sampled."""
PICKED = 48
"""Rows of whose pairs the slopes are taken."""
ONE, OTHER = np.triu_indices(PICKED, 1)
CALM, BUSY = 3, 8
"""Levels that nearly all second differences in a row of a blurred margin keep within, and those behind it do not."""
NEAR = 32
"""Pixels from a side within which most rows' runs of its colour end; the others are followed further."""


def framed_statistics(pixels: Pixels) -> dict[str, float]:
    """Return `sides`, the number with a straight border, and the shares of rows or columns in `bands` and `blurred`.

    The picture is sampled to about 384 pixels. A side has a border where the runs of its edge's colour (within 16
    levels), from the edge inwards, end on one straight line: at least 85 % of the runs within 1.5 pixels of the line
    with the median slope (H. Theil, 1950; P. K. Sen, 1968, doi:10.1080/01621459.1968.10480934), which lies at least 3
    pixels within the picture somewhere. A scan that was laid down askew has such wedges, too.

    A band is a run of at least 3 rows of like colour (half of each row within 3 levels of its median, medians within 8
    of the next) of which one edge is straight from side to side: at least 80 % of the columns have the band's colour
    in its last row, within 16 levels, and another, by more than 24, three rows further; or at least 40 % at both edges
    of a gutter, a band of which 95 % is of its colour. `bands` is the larger of the two directions' shares.

    `blurred` is the share of rows, or columns, in margins without fine detail on two opposite sides, as phones' stories
    fill a screen with: 95 % of the second differences in each of their rows are at most 3 levels of green, they are
    equally high (within 2 % of the picture), and in most of the five rows behind them 5 % are at least 8.
    """
    plane = grid(pixels, LONGEST)
    turned = plane.transpose(0, 2, 1)
    sides = sum(_has_border(view) for view in (plane, plane[:, :, ::-1], turned, turned[:, :, ::-1]))
    bands, blurred = (max(share(plane), share(turned)) for share in (_band_share, _blurred_share))
    return {"sides": float(sides), "bands": bands, "blurred": blurred}


def _within(planes: Planes, colours: Planes, tolerance: int) -> NDArray[np.bool_]:
    """Return where each channel is within the tolerance of its colour: shape of a channel, by channel of `planes`."""
    low = np.maximum(colours, tolerance) - np.uint8(tolerance)
    span = np.minimum(colours, 255 - tolerance) + np.uint8(tolerance) - low
    # A level below `low` wraps around to more than any span.
    found: NDArray[np.bool_] = planes[0] - low[0] <= span[0]
    for plane, least, most in zip(planes[1:], low[1:], span[1:], strict=True):
        found &= plane - least <= most
    return found


def _has_border(plane: Planes) -> bool:
    """Return whether the left side has a straight border."""
    height, width = plane.shape[1:]
    edge = np.median(plane[:, :, :2].reshape(3, -1), axis=1).astype(np.uint8)[:, None, None]
    runs = _runs(_within(plane[:, :, :NEAR], edge, TOLERANCE))
    on = np.flatnonzero(runs == NEAR)
    runs[on] = _runs(_within(plane[:, on], edge, TOLERANCE))
    rows = np.flatnonzero(runs < 0.6 * width)
    if len(rows) < max(8, 0.3 * height):
        return False
    picked = rows[np.linspace(0, len(rows) - 1, PICKED).astype(int)]
    none = np.count_nonzero(runs[picked] == 0)
    if len(rows) >= PICKED and 2 * none * (none - 1) > PICKED * (PICKED - 1) and np.median(runs[rows]) == 0:
        return False  # more than half of the slopes are 0, and the line is the side itself
    apart = picked[OTHER] - picked[ONE]
    slopes = (runs[picked[OTHER]] - runs[picked[ONE]])[apart > 0] / apart[apart > 0]
    slope = float(np.median(slopes))
    line = slope * rows + np.median(runs[rows] - slope * rows)
    on_line = np.count_nonzero(np.abs(runs[rows] - line) <= 1.5) / height
    return bool(on_line >= 0.85 and line.max() >= 3)


def _runs(same: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return how many values are true from the left on, by row."""
    found: NDArray[np.intp] = np.where(same.all(axis=1), same.shape[1], same.argmin(axis=1))
    return found


def _band_share(plane: Planes) -> float:
    """Return the share of rows that lie in bands."""
    height, width = plane.shape[1:]
    if height < 8:
        return 0.0
    some = plane[:, :, width % 5 // 2 :: 5]
    # A band is flat in green, too: the other channels are looked at where it is.
    flat = _flat_rows(plane[1:2], _medians(some[1:2]))
    rows = np.flatnonzero(flat)
    if len(rows) < 3:
        return 0.0
    colours = np.zeros((3, height), np.uint8)
    colours[:, rows] = _medians(some[:, rows])
    flat[rows] = _flat_rows(plane[:, rows], colours[:, rows])
    joined = flat[1:] & flat[:-1] & (np.abs(np.diff(colours.astype(np.int16), axis=1)).max(axis=0) <= 8)
    ends = np.flatnonzero(np.append(~joined, True))
    found = 0
    for top, last in zip(np.append(0, ends[:-1] + 1), ends, strict=True):
        if last - top >= 2 and flat[top] and _straight(plane, colours[:, (top + last) // 2], int(top), int(last)):
            found += int(last - top + 1)
    return float(found / height)


def _blurred_share(plane: Planes) -> float:
    """Return the share of rows in blurred margins above and below."""
    green = plane[1]
    count, least = len(green), int(np.ceil(0.04 * len(green)))
    # Most pictures are told by the rows at their edges.
    if green.shape[1] < 3 or not (_calm(green[:least]).all() and _calm(green[count - least :]).all()):
        return 0.0
    calm = _calm(green)
    top, bottom = int(calm.argmin()), int(calm[::-1].argmin())
    if calm.all() or abs(top - bottom) > max(2.0, 0.02 * count):
        return 0.0
    behind = (green[top + 1 : top + 6], green[count - bottom - 6 : count - bottom - 1])
    busy = all((_above(rows, BUSY - 1) >= 0.05).mean() > 0.5 for rows in behind if len(rows))
    return (top + bottom) / count if busy else 0.0


def _calm(green: Planes) -> NDArray[np.bool_]:
    """Return the rows of which at most 5 % of the second differences are above `CALM`."""
    found: NDArray[np.bool_] = _above(green, CALM) <= 0.05
    return found


def _above(green: Planes, level: int) -> NDArray[np.float64]:
    """Return the share of each row's second differences that are above a level."""
    wide = green.astype(np.int16)
    shares: NDArray[np.float64] = (np.abs(wide[:, 2:] + wide[:, :-2] - 2 * wide[:, 1:-1]) > level).mean(axis=1)
    return shares


def _medians(levels: Planes) -> Planes:
    """Return the median of each row, rounded down, shape (channels, height)."""
    ordered = np.sort(levels, axis=-1, kind="stable")  # by counting, where levels have 8 bits
    count = levels.shape[-1]
    middle: Planes = ((ordered[..., (count - 1) // 2].astype(np.uint16) + ordered[..., count // 2]) // 2).astype(
        np.uint8
    )
    return middle


def _flat_rows(planes: Planes, colours: Planes) -> NDArray[np.bool_]:
    """Return the rows of which half is within a few levels of their colours."""
    flat: NDArray[np.bool_] = _within(planes, colours[:, :, None], FLAT).mean(axis=1) >= 0.5
    return flat


def _straight(plane: Planes, colour: Planes, top: int, last: int) -> bool:
    """Return whether one edge of the band of rows top..last is straight across, or both are beside whole rows."""
    shares = []
    for edge, beyond in ((top, top - 3), (last, last + 3)):
        if 0 <= beyond < plane.shape[1]:
            shares.append(
                float(
                    (
                        _within(plane[:, edge], colour, TOLERANCE) & ~_within(plane[:, beyond], colour, TOLERANCE + 8)
                    ).mean()
                )
            )
    if max(shares, default=0.0) >= 0.8:
        return True
    whole = _within(plane[:, top : last + 1], colour, FLAT).mean() >= 0.95
    return bool(whole) and len(shares) == 2 and min(shares) >= 0.4
