"""A labelled set cut into a labelled set of tiles."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args

import numpy as np
from PIL import Image

from d2f.api.errors import D2FError, Problem
from d2f.api.inputs import ImageFile, Pixels
from d2f.data.dataset import Dataset, Labelled, labelled_path, write_manifest
from d2f.data.weights import Balance, balanced, label_weights
from d2f.images.read import ImageError, read_image

Pick: TypeAlias = Literal["centre", "grid", "random"]
PICKS: tuple[Pick, ...] = get_args(Pick)
Corner: TypeAlias = tuple[int, int]
"""Left and top of a tile, in pixels."""


def corners(width: int, height: int, size: int, pick: Pick, count: int, seed: int) -> list[Corner]:
    """Return where tiles are cut.

    >>> corners(500, 300, 224, "grid", 9, seed=0)
    [(26, 38), (250, 38)]
    """
    across, down = width - size, height - size
    if across < 0 or down < 0:
        return []
    if pick == "centre":
        return [(across // 2, down // 2)]
    random = np.random.default_rng(seed)
    if pick == "random":
        return _apart(across, down, size, count, random)
    left, top = width % size // 2, height % size // 2
    found = [(x, y) for y in range(top, down + 1, size) for x in range(left, across + 1, size)]
    chosen = np.sort(random.permutation(len(found))[:count])
    return [found[i] for i in chosen]


def is_flat(tile: Pixels, level: float) -> bool:
    """Whether the standard deviation of a tile's luma (ITU-R BT.601) is below a level, in levels of 255.

    Skies and walls tell little of where a picture is from, and the same of both labels.
    """
    luma = tile.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    return bool(luma.std() < level)


def _apart(across: int, down: int, size: int, count: int, random: np.random.Generator) -> list[Corner]:
    found: list[Corner] = []
    for x, y in random.integers(0, (across + 1, down + 1), size=(20 * count, 2)).tolist():
        shared = (max(0, size - abs(x - a)) * max(0, size - abs(y - b)) for a, b in found)
        if len(found) < count and all(4 * pixels < size**2 for pixels in shared):
            found.append((x, y))
    return found


@dataclass(frozen=True, slots=True)
class Cut:
    """How pictures are cut."""

    size: int = 224
    pick: Pick = "grid"
    count: int = 16
    flat: float = 0.0
    balance: Balance = "none"
    seed: int = 0


@dataclass(frozen=True)
class Tiled:
    """What came of it."""

    tiles: Dataset
    before: tuple[int, int]
    after: tuple[int, int]
    small: int
    flat: int
    problems: tuple[Problem, ...]


def cut_tiles(dataset: Dataset, folder: Path, cut: Cut, tick: Callable[[], None] | None = None) -> Tiled:
    """Cut every picture of a set and write PNG tiles and ``manifest.csv``.

    All tiles of a picture share a group (the picture's own, or one made of its digest), so no split parts them; its
    label, generator, source, collection and further columns are carried over. A tile that balancing leaves out is
    removed again.
    """
    work = _Work(folder, cut)
    tiles = Dataset(tuple(work.run(dataset, tick)), str(folder))
    if not len(tiles):
        raise D2FError([*work.problems, Problem("D2F601", "no tile was cut", notes=(work.explanation(),))])
    kept = balanced(tiles, cut.balance, cut.seed)
    for path in {image.path for image in tiles} - {image.path for image in kept}:
        Path(path).unlink(missing_ok=True)
    more = {"weight": label_weights(kept.labels).round(6).tolist()} if cut.balance == "weights" else {}
    write_manifest(folder / "manifest.csv", kept, more)
    return Tiled(kept, tiles.label_counts, kept.label_counts, work.small, work.flat, tuple(work.problems))


class _Work:
    """Tiles of one picture after another, and what was passed over."""

    def __init__(self, folder: Path, cut: Cut) -> None:
        self.folder, self.cut = folder, cut
        self.small = self.flat = 0
        self.problems: list[Problem] = []

    def run(self, dataset: Dataset, tick: Callable[[], None] | None) -> Iterator[Labelled]:
        for image in dataset:
            try:
                yield from self._tiles(image, read_image(image.path))
            except ImageError as error:
                self.problems += error.problems
            if tick is not None:
                tick()

    def explanation(self) -> str:
        return f"{self.small} pictures are smaller than {self.cut.size} pixels, {self.flat} tiles are too flat"

    def _tiles(self, image: Labelled, picture: ImageFile) -> Iterator[Labelled]:
        cut, seed = self.cut, (self.cut.seed + picture.seed) % 2**64
        places = corners(picture.width, picture.height, cut.size, cut.pick, cut.count, seed)
        self.small += not places
        for x, y in places:
            pixels = picture.pixels[y : y + cut.size, x : x + cut.size]
            if cut.flat and is_flat(pixels, cut.flat):
                self.flat += 1
                continue
            path = self._write(image, picture.sha256, pixels, x, y)
            group = image.group or f"picture-{picture.sha256[:16]}"
            origin = Path(os.path.relpath(image.path, self.folder)).as_posix()
            more = MappingProxyType({**image.more, "from": origin, "x": str(x), "y": str(y)})
            yield replace(image, path=str(path), group=group, more=more)

    def _write(self, image: Labelled, sha256: str, pixels: np.ndarray, x: int, y: int) -> Path:
        path = self.folder / labelled_path(image, f"{sha256[:16]}-{x}-{y}.png")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.ascontiguousarray(pixels)).save(path)
        except OSError as error:
            raise D2FError.of("D2F004", f"'{path}' cannot be written: {error.strerror or error}") from error
        return path
