"""All tiles of a set: each image decoded once, told by its digest, its tiles counted and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from d2f.api.arrays import Labels, Pixels
from d2f.api.errors import D2FError, Problem
from d2f.data.dataset import Dataset, Labelled
from d2f.data.facts.perceptual_hash import perceptual_hash
from d2f.reading.image import load_image, read_image
from d2f.reading.unread import Unread
from d2f.training.gradient.copies import TileCutter
from d2f.training.gradient.tile_cache import TileCache

AHEAD = 4
"""Images a worker may be ahead of the one that is kept next."""
SHOWN = 20
"""Broken images that an error names."""


@dataclass(frozen=True)
class TileSet:
    """Tiles by number.

    Parameters
    ----------
    dataset : Dataset
    digests : tuple of str
        sha256 of each image.
    hashes : tuple of int or None
        Perceptual hash of each image, as `d2f.data.facts.perceptual_hash` has it.
    image : numpy.ndarray, shape (tiles,), int64
        The image that each tile is of.
    cutter : TileCutter
    cache : TileCache
    """

    dataset: Dataset
    digests: tuple[str, ...]
    hashes: tuple[int | None, ...]
    image: NDArray[np.int64]
    cutter: TileCutter
    cache: TileCache

    def __len__(self) -> int:
        return len(self.image)

    @property
    def labels(self) -> Labels:
        """Label of each tile, shape (tiles,), int8."""
        return self.dataset.labels[self.image]

    @property
    def without(self) -> int:
        """How many images have no tile: too small, or flat."""
        return len(self.dataset) - len(np.unique(self.image))

    def tile(self, number: int) -> Pixels:
        """Return a tile, uint8 (side, side, 3), from the cache or decoded again."""
        kept = self.cache.get(number)
        if kept is not None:
            return kept
        place = int(self.image[number])
        first = int(np.searchsorted(self.image, place))
        tile: Pixels = self.cutter.tiles(read_image(self.dataset[place].path))[number - first]
        return tile


Progress = Callable[[int, int], None]


def make_tiles(
    dataset: Dataset, cutter: TileCutter, file: Path, workers: int, progress: Progress, keep: bool = True
) -> TileSet:
    """Decode every image once and keep its tiles; without `keep` they are only counted, and decoded again when asked.

    Raises
    ------
    D2FError
        D2F620 that names each image that cannot be read; D2F004 where tiles cannot be kept.
    """
    cache = TileCache(cutter.side, file) if keep else TileCache(cutter.side, file, 0, 0)
    digests, hashes, counts = [], [], []
    problems: list[Problem] = []
    try:
        for image, made in zip(dataset, _made(dataset, cutter, workers), strict=True):
            if isinstance(made, Unread):
                problems.append(_broken(image, made))
            else:
                digests.append(made.sha256)
                hashes.append(made.hash)
                counts.append(len(made.tiles))
                if not problems:
                    cache.add(made.tiles)
            progress(len(digests) + len(problems), len(dataset))
        if problems:
            raise D2FError([*problems[:SHOWN], *_and_more(problems)])
    except BaseException:
        # What was kept of them would fill the disk that may be full already.
        cache.close()
        raise
    return TileSet(dataset, tuple(digests), tuple(hashes), np.repeat(np.arange(len(counts)), counts), cutter, cache)


class _Made(NamedTuple):
    """What is made of an image."""

    sha256: str
    hash: int | None
    tiles: Pixels


def _made(dataset: Dataset, cutter: TileCutter, workers: int) -> Iterator[_Made | Unread]:
    """Yield what is made of each image in order, a few images ahead of what is asked for."""

    def one(image: Labelled) -> _Made | Unread:
        read = load_image(image.path)
        if isinstance(read, Unread):
            return read
        return _Made(read.sha256, perceptual_hash(read.pixels), cutter.tiles(read))

    images = iter(dataset)
    with ThreadPoolExecutor(workers) as pool:
        waiting = [pool.submit(one, image) for image in islice(images, AHEAD * workers)]
        while waiting:
            yield waiting.pop(0).result()
            waiting += [pool.submit(one, image) for image in islice(images, 1)]


def _broken(image: Labelled, unread: Unread) -> Problem:
    failure = unread.failure
    note = "take it out of the set, or of its manifest"
    return Problem("D2F620", f"'{image.path}' cannot be trained on: {failure.message}", notes=(note,))


def _and_more(problems: list[Problem]) -> list[Problem]:
    rest = len(problems) - SHOWN
    return [Problem("D2F620", f"{rest} further images cannot be read")] if rest > 0 else []
