"""The tiles of a set: cut from every variant, cached as uint8 in memory or in a file, drawn into epochs by seed, and
fed in batches by mlx-data or by plain threads."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError, Problem
from d2f.api.inputs import Floats, ImageFile, Labels, Pixels
from d2f.api.inputs import Tiles as Wanted
from d2f.data.dataset import Dataset, Labelled
from d2f.data.facts import perceptual_hash
from d2f.data.protocol import WINDOW, drawn_copies, for_judging
from d2f.engine.plan import Step
from d2f.engine.views import Corner, apply_steps, cut, tile_corners
from d2f.files import cannot_write
from d2f.images.read import Unread, load_image, read_image
from d2f.train.images import training_weights, with_even_labels
from d2f.train.recipe import BalanceSettings, NetworkRecipe


@dataclass(frozen=True)
class TileCutter:
    """Cuts the tiles that a recipe asks for, the same ones for the same file whatever else is asked."""

    recipe: NetworkRecipe
    training: bool
    attack: tuple[Step, ...] = ()

    @property
    def side(self) -> int:
        """Side of the tiles in pixels."""
        return self.recipe.side if self.training else self.recipe.tiles.size

    def tiles(self, image: ImageFile) -> Pixels:
        """Return the tiles of all variants, uint8 (n, side, side, 3); n is 0 where the image is too small or flat."""
        copies = self._copies(image)
        if self.attack:
            copies = [apply_steps(replace(image, pixels=pixels), self.attack) for pixels in copies]
        return np.concatenate([self._of(pixels, image, number) for number, pixels in enumerate(copies)])

    def _copies(self, image: ImageFile) -> list[Pixels]:
        copies = self.recipe.copies
        judged = for_judging(copies.protocol)(image).pixels
        if not self.training or copies.protocol == "as-found":
            return [judged]
        low, high = copies.windows or (self.side, max(self.side, WINDOW))
        qualities = copies.qualities[0], copies.qualities[1]
        seeds = [self.recipe.seed * 1000 + number for number in range(copies.fitting)]
        made = drawn_copies(copies.protocol, image, seeds, (low, high), qualities, copies.scale)
        return made + [judged] * copies.judging

    def _of(self, pixels: Pixels, image: ImageFile, number: int) -> Pixels:
        found = self._corners(pixels, image, number)
        if not found:
            return np.zeros((0, self.side, self.side, 3), np.uint8)
        step = self.recipe.tiles.align
        tiles = cut(pixels, sorted({(top // step * step, left // step * step) for top, left in found}), self.side)
        # Of grey levels, the mean of the channels.
        deviations = tiles.mean(axis=3, dtype=np.float32).std(axis=(1, 2))
        kept: Pixels = tiles[deviations >= self.recipe.tiles.flat]
        return kept

    def _corners(self, pixels: Pixels, image: ImageFile, number: int) -> list[Corner]:
        wanted = self.recipe.tiles
        if wanted.pick != "random":
            return tile_corners(pixels, Wanted(wanted.count, self.side, wanted.pick))
        if not self.training:
            return tile_corners(pixels, Wanted(wanted.count, self.side, "grid"))
        down, right = pixels.shape[0] - self.side, pixels.shape[1] - self.side
        if down < 0 or right < 0:
            return []
        random = np.random.default_rng((self.recipe.seed, image.seed, number))
        drawn = random.integers(0, (down + 1, right + 1), (wanted.count, 2)).tolist()
        return sorted({(top, left) for top, left in drawn})


MEMORY = 2 * 2**30
"""Bytes of tiles in memory; beyond that they go to a file."""

DISK = 64 * 2**30
"""Bytes of tiles in the file; beyond that they are decoded again each epoch."""


class TileCache:
    """Tiles of images, appended once and read by index from any thread."""

    def __init__(self, side: int, file: Path, memory: int = MEMORY, disk: int = DISK) -> None:
        self._shape = (side, side, 3)
        self._bytes = 3 * side * side
        self._memory: list[Pixels] = []
        self._file = file
        self._most = memory // self._bytes, disk // self._bytes
        self._written = 0
        self._map: np.memmap[tuple[int, ...], np.dtype[np.uint8]] | None = None

    def add(self, tiles: Pixels) -> None:
        """Store tiles (n, side, side, 3), as far as the bounds allow, at the next indices."""
        fit = max(self._most[0] - len(self._memory), 0)
        self._memory += [np.array(tile) for tile in tiles[:fit]]
        rest = tiles[fit:][: self._most[1] - self._written]
        if len(rest):
            try:
                with self._file.open("ab" if self._written else "wb") as file:
                    file.write(np.ascontiguousarray(rest).tobytes())
            except OSError as error:
                raise cannot_write(self._file, error, "make room") from error
            self._written += len(rest)
            self._map = None

    def get(self, index: int) -> Pixels | None:
        """Return a tile, None where it was beyond the bounds."""
        if index < len(self._memory):
            return self._memory[index]
        index -= len(self._memory)
        if index >= self._written:
            return None
        # A local name: two threads may both map the file, and each uses its own.
        held = self._map
        if held is None:
            held = self._map = np.memmap(self._file, np.uint8, "r", shape=(self._written, *self._shape))
        # A copy: mlx-data takes no array that cannot be written to.
        return np.array(held[index])

    def close(self) -> None:
        """Drop the tiles, and remove the file."""
        self._memory, self._map, self._written = [], None, 0
        self._file.unlink(missing_ok=True)


IMAGES_AHEAD = 4
"""Images that a worker may be ahead of the one that is stored next."""

BROKEN_SHOWN = 20
"""Broken images that an error names."""


@dataclass(frozen=True)
class TileSet:
    """Tiles by number."""

    dataset: Dataset
    digests: tuple[str, ...]
    hashes: tuple[int | None, ...]
    image: NDArray[np.int64]  # (tiles,), int64
    cutter: TileCutter
    cache: TileCache

    def __len__(self) -> int:
        return len(self.image)

    @property
    def labels(self) -> Labels:
        """Label of each tile, shape (tiles,), int8."""
        return self.dataset.labels[self.image]

    def tile(self, number: int) -> Pixels:
        """Return a tile, uint8 (side, side, 3), from the cache or decoded again."""
        kept = self.cache.get(number)
        if kept is not None:
            return kept
        place = int(self.image[number])
        first = int(np.searchsorted(self.image, place))
        tile: Pixels = self.cutter.tiles(read_image(self.dataset[place].path))[number - first]
        return tile


def make_tiles(
    dataset: Dataset,
    cutter: TileCutter,
    file: Path,
    workers: int,
    progress: Callable[[int, int], None],
    keep: bool = True,
) -> TileSet:
    """Decode every image once and cache its tiles; without `keep` they are only counted."""
    cache = TileCache(cutter.side, file) if keep else TileCache(cutter.side, file, 0, 0)
    digests, hashes, counts = [], [], []
    problems: list[Problem] = []
    try:
        for image, made in zip(dataset, _make_each(dataset, cutter, workers), strict=True):
            if isinstance(made, Unread):
                message = f"'{image.path}' cannot be trained on: {made.failure.message}"
                problems.append(Problem("D2F620", message, notes=("take it out of the set, or of its manifest",)))
            else:
                digests.append(made.sha256)
                hashes.append(made.hash)
                counts.append(len(made.tiles))
                if not problems:
                    cache.add(made.tiles)
            progress(len(digests) + len(problems), len(dataset))
        if rest := problems[BROKEN_SHOWN:]:
            problems[BROKEN_SHOWN:] = [Problem("D2F620", f"{len(rest)} further images cannot be read")]
        if problems:
            raise D2FError(problems)
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


def _make_each(dataset: Dataset, cutter: TileCutter, workers: int) -> Iterator[_Made | Unread]:
    """Yield what is made of each image in order, a few images ahead of what is asked for."""

    def one(image: Labelled) -> _Made | Unread:
        read = load_image(image.path)
        if isinstance(read, Unread):
            return read
        return _Made(read.sha256, perceptual_hash(read.pixels), cutter.tiles(read))

    images = iter(dataset)
    with ThreadPoolExecutor(workers) as pool:
        waiting = [pool.submit(one, image) for image in islice(images, IMAGES_AHEAD * workers)]
        while waiting:
            yield waiting.pop(0).result()
            waiting += [pool.submit(one, image) for image in islice(images, 1)]


def tile_weights(tiles: TileSet, sources: float) -> Floats:
    """Return each tile's weight, shape (tiles,), both labels of one sum, mean 1; an image shares its weight evenly."""
    counts = np.bincount(tiles.image, minlength=len(tiles.dataset))
    weights = np.ones(len(tiles))
    if sources < 1:
        weights = (training_weights(tiles.dataset, sources) / np.maximum(counts, 1))[tiles.image]
    return with_even_labels(weights, tiles.labels)


def epoch_order(labels: Labels, weights: Floats, balance: BalanceSettings, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the tiles of an epoch, in order.

    `labels` shape (tiles,); `weights` shape (tiles,).
    """
    random = np.random.default_rng((seed, epoch, 1))
    drawn = [
        draw_tiles(np.flatnonzero(labels == label), weights, count, random)
        for label, count in enumerate(label_counts(labels, balance))
    ]
    order: NDArray[np.int64] = random.permutation(np.concatenate(drawn))
    return order


def label_counts(labels: Labels, balance: BalanceSettings) -> tuple[int, int]:
    """Return how many tiles of each label an epoch draws."""
    real, generated = int(np.count_nonzero(labels == 0)), int(np.count_nonzero(labels == 1))
    if balance.by in ("smallest", "oversample"):
        each = min(real, generated) if balance.by == "smallest" else max(real, generated)
        each = each if balance.tiles is None else balance.tiles // 2
        return each, each
    if balance.tiles is None:
        return real, generated
    share = round(balance.tiles * real / (real + generated))
    return share, balance.tiles - share


def draw_tiles(
    members: NDArray[np.int64], weights: Floats, count: int, random: np.random.Generator
) -> NDArray[np.int64]:
    """Draw `count` of `members`, each as often as its share of the weight says, to within one (systematic sampling).

    Madow 1949 (doi:10.1214/aoms/1177729988). With equal weights and a count of all, each is drawn once.
    """
    shuffled = random.permutation(members)
    shares = weights[shuffled] / weights[shuffled].sum()
    ends = np.cumsum(shares)
    points = (random.random() + np.arange(count)) / count
    # The last end may fall short of 1 by rounding.
    return shuffled[np.minimum(np.searchsorted(ends, points, side="right"), len(shuffled) - 1)]


AHEAD = 3
"""Batches that are made ahead."""


class TileBatch(NamedTuple):
    """Tiles and which they are."""

    pixels: Pixels
    numbers: NDArray[np.int64]


Indices: TypeAlias = NDArray[np.int64]
"""Tiles to be fed, shape (n, 2): the number of each and its place in the epoch."""

Make: TypeAlias = Callable[[int, int], Pixels]
"""A tile's number and its place to its pixels; called from several threads."""


@dataclass
class Feeder:
    """Feeds batches and measures how long was waited for them."""

    workers: int = 1
    native: bool = field(default_factory=lambda: find_spec("mlx.data") is not None)
    waited: float = 0.0

    def batches(self, wanted: Indices, size: int, make: Make) -> Iterator[TileBatch]:
        """Yield the tiles that are wanted, in order, `size` at a time; the last batch may be smaller."""
        if self.native:
            import mlx.data  # noqa: F401  Its import is no waiting.
        stream = (_by_mlx_data if self.native else _by_threads)(wanted, size, make, self.workers)
        while True:
            begun = time.perf_counter()
            batch = next(stream, None)
            self.waited += time.perf_counter() - begun
            if batch is None:
                return
            yield batch


def tiles_in_order(count: int) -> Indices:
    """Return tiles 0 to count - 1, each at its own place."""
    return np.stack([np.arange(count)] * 2, axis=1)


def _by_mlx_data(wanted: Indices, size: int, make: Make, workers: int) -> Iterator[TileBatch]:
    import mlx.data as dx

    # A sample is a tile's name; its pixels are loaded when a thread comes to it.
    names = [{"tile": name} for name in wanted]

    def load(name: NDArray[np.int64]) -> Pixels:
        return make(int(name[0]), int(name[1]))

    # `prefetch` of a stream does not keep the order, on which equal runs depend; that of a buffer does.
    buffer = dx.buffer_from_vector(names).key_transform("tile", load, "pixels")
    for batch in buffer.ordered_prefetch(AHEAD * size, workers).batch(size):
        yield TileBatch(batch["pixels"], batch["tile"][:, 0])


def _by_threads(wanted: Indices, size: int, make: Make, workers: int) -> Iterator[TileBatch]:
    later = iter(wanted.tolist())
    with ThreadPoolExecutor(workers) as pool:
        waiting = deque((name[0], pool.submit(make, *name)) for name in islice(later, AHEAD * size))
        while waiting:
            taken = [waiting.popleft() for _ in range(min(size, len(waiting)))]
            waiting.extend((name[0], pool.submit(make, *name)) for name in islice(later, len(taken)))
            yield TileBatch(np.stack([future.result() for _, future in taken]), np.array([name for name, _ in taken]))
