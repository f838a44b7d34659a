"""The tiles of one image: its copies by the matched protocol or as found, cut, flat ones rejected."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from d2f.api.arrays import Pixels
from d2f.api.inputs import ImageFile
from d2f.api.inputs import Tiles as Wanted
from d2f.data.matched import WINDOW, fitting, judging
from d2f.engine.apply import apply_steps
from d2f.engine.plan import Step
from d2f.engine.tiles import Corner, corners, cut
from d2f.training.gradient.recipe import NetworkRecipe


@dataclass(frozen=True)
class TileCutter:
    """Cuts the tiles that a recipe asks for, the same ones for the same file whatever else is asked.

    Parameters
    ----------
    recipe : NetworkRecipe
    training : bool
        Training tiles; else validation tiles: of the judging copy, without a margin or a draw.
    attack : tuple of Step
        Laid over each copy before it is cut.
    """

    recipe: NetworkRecipe
    training: bool
    attack: tuple[Step, ...] = ()

    @property
    def side(self) -> int:
        """Side of the tiles in pixels."""
        return self.recipe.side if self.training else self.recipe.tiles.size

    def tiles(self, image: ImageFile) -> Pixels:
        """Return the tiles of all copies, uint8 (n, side, side, 3); n is 0 where the image is too small or flat."""
        copies = [self._attacked(pixels, image) for pixels in self._copies(image)]
        made = [self._of(pixels, image, number) for number, pixels in enumerate(copies)]
        return np.concatenate(made)

    def _copies(self, image: ImageFile) -> list[Pixels]:
        copies = self.recipe.copies
        if not copies.matched:
            return [image.pixels]
        if not self.training:
            return [judging(image).pixels]
        low, high = copies.windows or (self.side, max(self.side, WINDOW))
        qualities = copies.qualities[0], copies.qualities[1]
        seeds = [self.recipe.seed * 1000 + number for number in range(copies.fitting)]
        made = [fitting(image, seed, (low, high), qualities, copies.scale).pixels for seed in seeds]
        return made + [judging(image).pixels] * copies.judging

    def _attacked(self, pixels: Pixels, image: ImageFile) -> Pixels:
        return apply_steps(replace(image, pixels=pixels), self.attack) if self.attack else pixels

    def _of(self, pixels: Pixels, image: ImageFile, number: int) -> Pixels:
        found = self._corners(pixels, image, number)
        if not found:
            return np.zeros((0, self.side, self.side, 3), np.uint8)
        tiles = cut(pixels, found, self.side)
        return tiles[_deviations(tiles) >= self.recipe.tiles.flat]

    def _corners(self, pixels: Pixels, image: ImageFile, number: int) -> list[Corner]:
        wanted = self.recipe.tiles
        if wanted.pick != "random":
            return corners(pixels, Wanted(wanted.count, self.side, wanted.pick))
        if not self.training:
            return corners(pixels, Wanted(wanted.count, self.side, "grid"))
        down, right = pixels.shape[0] - self.side, pixels.shape[1] - self.side
        if down < 0 or right < 0:
            return []
        random = np.random.default_rng((self.recipe.seed, image.seed, number))
        drawn = random.integers(0, (down + 1, right + 1), (wanted.count, 2)).tolist()
        return sorted({(top, left) for top, left in drawn})


def _deviations(tiles: Pixels) -> NDArray[np.float32]:
    """Return the standard deviation of each tile's grey levels, the mean of its channels."""
    deviations: NDArray[np.float32] = tiles.mean(axis=3, dtype=np.float32).std(axis=(1, 2))
    return deviations
