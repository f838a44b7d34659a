"""Heat maps measured by the chain itself, and a mask of where they are not to be relied on.

Two kinds. `tiles`: the chain's log-likelihood ratio of each tile taken as a picture of its own. `occlusion`: how much
the ratio of the whole picture falls when the tile is hidden, that is, replaced by a strong blur of the picture. No
gradient is taken; preconditions are left out, since they are for whole pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from d2f.api.inputs import Floats, ImageFile, Pixels
from d2f.engine.judge import Judge
from d2f.engine.local import LocalEngine
from d2f.engine.plan import Plan
from d2f.engine.views import Corner, grid_corners

MapKind: TypeAlias = Literal["tiles", "occlusion"]
KINDS: tuple[MapKind, ...] = get_args(MapKind)

TILES = 30
"""How many tiles are measured, about: they overlap, and lie on a grid."""

SHARE = 1 / 3
"""Side of a tile over the picture's shorter side."""

SMALLEST = 64
"""Smallest side of a tile in pixels; a picture without room for several has no map."""

CELLS = 4
"""Cells of the map along a tile's side; a cell is the mean of the tiles over it."""

FLAT = 2.0
"""A cell is flat where its luma varies by less, as a standard deviation in grey levels."""

CLIPPED = 0.2
"""A cell is clipped where at least this share of its pixels has all channels at 0 or one at 255."""

BLOCKS = 1.8
"""A cell is over-compressed where steps at the edges of 8x8 blocks are this many times the others."""

MASKS = ("flat", "clipped", "over-compressed")


@dataclass(frozen=True, slots=True, eq=False)
class HeatMap:
    """One map of a picture.

    Parameters
    ----------
    kind : {'tiles', 'occlusion'}
    values : numpy.ndarray, shape (rows, columns), float64
        Nats towards generated, of `occlusion` minus its median over the picture; NaN where nothing was measured.
    mask : numpy.ndarray, shape (rows, columns), uint8
        0 where the map may be relied on, else 1 + the place in `MASKS`.
    side : int
        Of a tile, in pixels.
    """

    kind: MapKind
    values: Floats
    mask: NDArray[np.uint8]
    side: int

    @property
    def reliable(self) -> NDArray[np.bool_]:
        """Whether a cell was measured and is not masked, shape (rows, columns)."""
        found: NDArray[np.bool_] = np.isfinite(self.values) & (self.mask == 0)
        return found

    @property
    def largest(self) -> float:
        """The largest absolute value of the reliable cells, in nats; 0 where there is none."""
        return float(np.abs(self.values[self.reliable]).max(initial=0.0))

    @property
    def masked(self) -> dict[str, float]:
        """Share of the cells under each mask, in [0, 1]."""
        return masked_shares(self.mask)


def measure_map(
    plan: Plan, image: ImageFile, kind: MapKind, tick: Callable[[int, int], object] | None = None
) -> HeatMap | None:
    """Measure one map; None of a picture that is too small, or that the chain has no ratio for.

    `tick` is called with how many tiles are done and how many there are.
    """
    side = tile_side(image)
    down, right = image.height - side, image.width - side
    if min(down, right) < side // 2:
        return None
    corners = grid_corners(down, right, TILES, image.height / image.width)
    tiles = (np.ascontiguousarray(image.pixels[top : top + side, left : left + side]) for top, left in corners)
    variants = tiles if kind == "tiles" else _hidden(image, corners, side)
    found: list[float] = []
    for number, llr in enumerate(_ratios(plan, variants), 1):
        found.append(llr)
        if tick is not None:
            tick(number, len(corners) + (kind == "occlusion"))
    ratios = np.array(found)
    if kind == "occlusion":
        ratios = ratios[0] - ratios[1:]
        ratios -= np.nanmedian(ratios) if np.isfinite(ratios).any() else 0.0
    if not np.isfinite(ratios).any():
        return None
    values = _over_cells(ratios, corners, side, cell_edges(image.height, side), cell_edges(image.width, side))
    return HeatMap(kind, values, picture_mask(image), side)


def tile_side(image: ImageFile) -> int:
    """Return the side of a picture's tiles in pixels."""
    return max(SMALLEST, int(SHARE * min(image.height, image.width)))


def _ratios(plan: Plan, variants: Iterator[Pixels]) -> Iterator[float]:
    """Yield the chain's log-likelihood ratio of each variant, NaN where it has none."""
    bare = replace(plan, require=(), evidence=())
    judge = Judge(bare)
    # Images without a file, of one digest: random stages draw alike for each of them.
    images = (
        ImageFile(str(number), b"", "0" * 64, "", pixels.shape[1], pixels.shape[0], pixels)
        for number, pixels in enumerate(variants)
    )
    for scored in LocalEngine(bare, workers=0).score(images):
        yield float(judge.probabilities(np.array([scored.scores], dtype=np.float64)).llr[0])


def _hidden(image: ImageFile, corners: Sequence[Corner], side: int) -> Iterator[Pixels]:
    """Yield the picture as it is, then with each tile hidden."""
    yield image.pixels
    blurred = blurred_copy(image.pixels, side)
    for top, left in corners:
        place = slice(top, top + side), slice(left, left + side)
        hidden = image.pixels.copy()
        hidden[place] = blurred[place]
        yield hidden


def blurred_copy(pixels: Pixels, side: int) -> Pixels:
    """Return a picture in which nothing finer than a quarter of a tile is left: reduced and enlarged again."""
    from PIL import Image

    height, width = pixels.shape[:2]
    step = max(4, side // 4)
    small = Image.fromarray(pixels).resize((max(2, width // step), max(2, height // step)), Image.Resampling.BOX)
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def cell_edges(length: int, side: int) -> NDArray[np.int_]:
    """Return the edges of the map's cells along one direction, in pixels."""
    return np.linspace(0, length, max(1, round(length * CELLS / side)) + 1).round().astype(np.int_)


def _over_cells(
    ratios: Floats, corners: Sequence[Corner], side: int, rows: NDArray[np.int_], columns: NDArray[np.int_]
) -> Floats:
    """Return the mean of the tiles over each cell's centre, shape (rows, columns), NaN where there is none."""
    down, right = (rows[:-1] + rows[1:]) / 2, (columns[:-1] + columns[1:]) / 2
    total, count = np.zeros((len(down), len(right))), np.zeros((len(down), len(right)))
    for ratio, (top, left) in zip(ratios, corners, strict=True):
        if np.isfinite(ratio):
            over = np.outer((down >= top) & (down < top + side), (right >= left) & (right < left + side))
            total += ratio * over
            count += over
    means: Floats = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return means


def masked_shares(mask: NDArray[np.uint8]) -> dict[str, float]:
    """Return the share of the cells under each mask, in [0, 1]."""
    return {name: float((mask == number).mean()) for number, name in enumerate(MASKS, 1)}


def picture_mask(image: ImageFile) -> NDArray[np.uint8]:
    """Return the mask that every map of a picture has; see `HeatMap.mask`."""
    side = tile_side(image)
    return reliability_mask(image.pixels, cell_edges(image.height, side), cell_edges(image.width, side))


def reliability_mask(pixels: Pixels, rows: NDArray[np.int_], columns: NDArray[np.int_]) -> NDArray[np.uint8]:
    """Return the mask of a picture's cells; see `HeatMap.mask`."""
    mask = np.zeros((len(rows) - 1, len(columns) - 1), dtype=np.uint8)
    for row, (top, bottom) in enumerate(pairwise(rows)):
        for column, (left, right) in enumerate(pairwise(columns)):
            mask[row, column] = _mask_of(pixels[top:bottom, left:right], left, top)
    return mask


def _mask_of(cell: Pixels, left: int, top: int) -> int:
    luma: NDArray[np.float32] = cell.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    if luma.std() < FLAT:
        return 1
    if ((cell == 255).any(axis=2) | (cell == 0).all(axis=2)).mean() >= CLIPPED:
        return 2
    return 3 if _grid_ratio(luma, left) * _grid_ratio(luma.T, top) >= BLOCKS**2 else 0


def _grid_ratio(luma: NDArray[np.float32], start: int) -> float:
    """Return the mean step between columns at JPEG's block edges over that elsewhere, 1 where there is no edge."""
    steps = np.abs(np.diff(luma, axis=1)).mean(axis=0)
    at_edge = (start + np.arange(1, len(steps) + 1)) % 8 == 0
    if not at_edge.any() or at_edge.all():
        return 1.0
    return float((steps[at_edge].mean() + 1) / (steps[~at_edge].mean() + 1))
